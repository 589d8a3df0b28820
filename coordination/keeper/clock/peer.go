package clock

// ClosedByPeer reports whether a connection that ended for reason, in the words of a NATS
// server, was ended by its other end: the end of the stream (FIN), or an error of reading
// or writing (RST). Servers turn TCP's own keepalive off, so an error is no sign of silence;
// silence is a stale connection.
//
// Every other reason, one of a server to come included, is a server's decision about a
// client that may well live. Package modules/nats tests that the words are the server's.
func ClosedByPeer(reason string) bool {
	switch reason {
	case "Client Closed", "Read Error", "Write Error":
		return true
	}
	return false
}
