// Package memory gives back to the system what a busy time has left behind: a node that
// has read a million registrations has used twice of what it keeps of them, and Go's
// runtime holds on to that for the next time.
//
// It is about the whole process, and so is for programs that are a node and nothing else.
package memory
