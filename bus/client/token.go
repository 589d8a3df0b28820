package client

// Token is what whoever gains a role shows to what it acts upon: 8 and 16 hexadecimal
// digits joined by a dash. Its width is fixed, so tokens of one object compare as texts do,
// in any language and in any database, and the later one is the greater.
//
// It is the only thing that keeps two holders apart. A process may be stopped at any moment,
// between asking whether it still holds and acting on the answer as well; while it is stopped
// its lease ends and somebody else is given the role. A resource that remembers the greatest
// token it has seen, and refuses lower ones, is safe from the first when it wakes up; a
// resource that does not look is not, whatever the lease and its contexts say.
//
// Those who are given a role in one transition, as the readers of a lock are, share a token.
// Tokens go on growing where the registry's store was lost and made anew.
type Token string

// Before reports whether t was given earlier than u, of the same object. "" is before all.
func (t Token) Before(u Token) bool { return t < u }
