// Package natstest runs NATS servers inside a test's process.
//
//	srv := natstest.Start(t)
//	nc := srv.Connect(t)
//
// A single server does not listen: connections are in process, and survive a [Server.Stop]
// and [Server.Restart] as they would over a network. The servers of a cluster listen on
// loopback ports of their own. Everything is stopped when the test ends.
package natstest
