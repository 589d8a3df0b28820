package nats

import (
	"slices"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/roostbus/roost/bus"
)

// ownInboxes is where the registry's connections receive replies. Nobody else may publish
// there: a forged acknowledgement would make a write look done that was never made.
const ownInboxes = "_ROOST"

// reserved are the subjects that the NATS server or JetStream act upon, in whatever
// account: to publish there is to command them.
func reserved() []string {
	return []string{
		"$JS.>",      // JetStream's interface, acknowledgements and flow control
		"$JSC.>",     // JetStream in a cluster
		"$KV.>",      // key-value buckets
		"$O.>",       // object stores
		"$OBJ.>",     // object stores, as once planned
		"$SYS.>",     // the server's own requests and events
		"$NRG.>",     // Raft groups
		"$LDS.>",     // leaf node loop detection
		"$MQTT.>",    // MQTT sessions
		"$GR.>",      // gateway replies of old
		"_GR_.>",     // gateway replies
		"_R_.>",      // replies of imported services
		"$GNR.>",     // gateway names
		"$ACCOUNT.>", // account claims
	}
}

// Permissions are who may do what on the embedded server, by subjects.
type Permissions struct {
	// Answering are those of the connection that hears requests and answers them.
	Answering *server.Permissions
	// Writing are those of the connection that uses JetStream.
	Writing *server.Permissions
	// System are those of the connection in the system account.
	System *server.Permissions
	// Client are those of everybody else.
	Client *server.Permissions
}

// PermissionsOf returns the permissions for the registry with these subjects.
func PermissionsOf(s bus.Subjects) Permissions {
	prefix := s.Prefix()
	requests := s.Requests()
	spoken := []string{prefix + ".event.>", prefix + ".announce.>", s.Beacon()}

	// A bucket of whatever name, since the registry may be switched to another; and what is
	// published of a store that does not publish by itself.
	writes := append([]string{"$KV.>", "$JS.API.>"}, spoken...)
	return Permissions{
		Answering: &server.Permissions{
			// A reply goes wherever the requester says, so here is what it may not say.
			Publish:   &server.SubjectPermission{Deny: append(reserved(), prefix+".>", "$SRV.>", ownInboxes+".>")},
			Subscribe: &server.SubjectPermission{Allow: slices.Concat(requests, []string{"$SRV.>", ownInboxes + ".answering.>"})},
		},
		Writing: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: writes},
			Subscribe: &server.SubjectPermission{Allow: []string{ownInboxes + ".writing.>"}},
		},
		System: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{removePeer}},
			Subscribe: &server.SubjectPermission{Allow: []string{disconnects(server.DEFAULT_GLOBAL_ACCOUNT), ownInboxes + ".system.>"}},
		},
		Client: &server.Permissions{
			Publish:   &server.SubjectPermission{Deny: slices.Concat(reserved(), spoken, []string{ownInboxes + ".>"})},
			Subscribe: &server.SubjectPermission{Deny: slices.Concat(requests, []string{ownInboxes + ".>"})},
		},
	}
}
