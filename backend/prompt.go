package backend

// Prompter is the ability to tell which reads do not wait.
type Prompter interface {
	// Prompt reports whether a Lookup with read, made now, is answered from memory: at
	// once, without waiting for a revision, a store or another goroutine. It does not
	// block, and what it says holds for the moment only.
	Prompt(read Read) bool
}

// Prompt asks b's [Prompter]; a backend without one may always have to wait. A server
// saves the hand-over to another goroutine where it need not reckon with a wait.
func Prompt(b Backend, read Read) bool {
	p, ok := b.(Prompter)
	return ok && p.Prompt(read)
}
