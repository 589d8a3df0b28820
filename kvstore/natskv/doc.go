// Package natskv is a kvstore.Store on a JetStream key-value bucket.
//
//	store, err := natskv.Open(ctx, nc, natskv.DefaultConfig())
//	tail := kvstore.NewTail(store)
//
// The bucket is made as a stream, since the flags that it needs cannot all be reached, or
// are silently reset, through the key-value calls. Once made, any key-value client reads
// it. Give Open a connection that does nothing else of weight and does not buffer while it
// is away (nats.ReconnectBufSize(-1), nats.MaxReconnects(-1)).
//
// # Guarantees
//
//   - Those of kvstore. In particular a write is repeated, with its operation and its
//     expected revision, until its outcome is known or its context is done.
//   - The feed recovers from an outage of NATS, the loss of its consumer, a purge of the
//     bucket and its deletion, and makes the bucket again if nobody else does.
//   - An existing bucket is never changed, unless [Config.Update] allows it.
//
// # Not guaranteed
//
//   - That Get returns the newest state while two servers believe to lead the stream. Use
//     a barrier where that matters.
package natskv
