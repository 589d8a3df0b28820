package coordination

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/roostbus/roost/backend"
)

// Token is what whoever gains a role shows to what it acts upon. A resource that remembers
// the greatest it has seen, and refuses lower ones, is safe from those who had the role
// before and do not know that they have lost it.
//
// Its text has a fixed width, so that comparing texts compares tokens.
type Token struct {
	Epoch   uint32 // of the store
	Counter uint64
}

// The lengths of the parts of a token's text.
const (
	epochDigits   = 8
	counterDigits = 16
)

// String returns 8 and 16 hexadecimal digits with a dash between them.
func (t Token) String() string {
	return fmt.Sprintf("%0*x-%0*x", epochDigits, t.Epoch, counterDigits, t.Counter)
}

// IsZero reports whether t is no token.
func (t Token) IsZero() bool { return t == Token{} }

// Compare orders tokens by when they were given.
func (t Token) Compare(u Token) int {
	return cmp.Or(cmp.Compare(t.Epoch, u.Epoch), cmp.Compare(t.Counter, u.Counter))
}

// ParseToken reads the text of a token. ErrInvalid.
func ParseToken(text string) (Token, error) {
	if len(text) == epochDigits+1+counterDigits && text[epochDigits] == '-' {
		epoch, wrongEpoch := strconv.ParseUint(text[:epochDigits], 16, 32)
		counter, wrongCounter := strconv.ParseUint(text[epochDigits+1:], 16, 64)
		if t := (Token{Epoch: uint32(epoch), Counter: counter}); wrongEpoch == nil && wrongCounter == nil && t.String() == text {
			return t, nil
		}
	}
	return Token{}, backend.Invalid("token", "%.40q is not 8 and 16 lower-case hexadecimal digits joined by a dash", text)
}

// MarshalText implements encoding.TextMarshaler.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Token) UnmarshalText(text []byte) (err error) {
	*t, err = ParseToken(string(text))
	return err
}

// next returns the token after t, in a turn. The first of an epoch counts afresh: a record
// that came from another store need not fit this one's revisions.
func (t Token) next(turn *Turn) Token {
	if turn.Epoch > t.Epoch {
		return Token{Epoch: turn.Epoch, Counter: turn.Floor + 1}
	}
	return Token{Epoch: t.Epoch, Counter: t.Counter + 1}
}
