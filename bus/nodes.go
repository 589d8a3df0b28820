package bus

// HealthOfAll returns the subject of the health request that every node answers. It is not
// beside the other one, since nodes may be allowed to hear requests of the registry in the
// queue group alone.
func (s Subjects) HealthOfAll() string { return s.prefix + ".admin.health" }

// RemoveNode returns the subject of an operator's request to forget a node of a cluster.
func (s Subjects) RemoveNode() string { return s.prefix + ".admin.cluster.remove" }

// Cluster is where the registry is kept, as one node knows it.
type Cluster struct {
	Name string `json:"name,omitempty"` // of the NATS cluster; "" for a server alone
	// Server is the NATS server that the node is connected to, or has inside.
	Server   string   `json:"server"`
	Embedded bool     `json:"embedded"`
	Replicas int      `json:"replicas"` // that each stream is to have
	Streams  []Stream `json:"streams"`
	// Peers are the servers that take part in the cluster, this one included, where NATS is
	// inside the nodes.
	Peers []Peer `json:"peers,omitempty"`
}

// Stream is where a stream of the registry is.
type Stream struct {
	Name     string `json:"name"`
	Replicas int    `json:"replicas"` // that it has
	Leader   string `json:"leader,omitempty"`
	// Others have it and do not lead it.
	Others []Peer `json:"others,omitempty"`
}

// Peer is a NATS server as another one sees it. Where NATS is inside the nodes it has the
// name of its node.
type Peer struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	Offline bool   `json:"offline"`
	Lag     uint64 `json:"lag"` // messages that it is behind
}

// RemoveNodeRequest asks to forget a node that is gone for good.
type RemoveNodeRequest struct {
	Node string `json:"node"`
}

// RemoveNodeReply answers a RemoveNodeRequest.
type RemoveNodeReply struct {
	Removed bool `json:"removed"` // false: no such node was known
}
