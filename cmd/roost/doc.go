// Command roost runs a Roost registry and talks to one.
//
// roost serve runs a node; every other command is a client over NATS. See roost --help.
package main
