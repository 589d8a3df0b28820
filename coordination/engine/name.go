package engine

import (
	"strings"

	"github.com/roostbus/roost/backend"
)

// Name identifies an object among those of its kind.
type Name struct {
	Namespace string
	Name      string
}

// Validate reports a part of n that is no valid name.
func (n Name) Validate() error {
	if err := backend.ValidateName("namespace", n.Namespace); err != nil {
		return err
	}
	return backend.ValidateName("name", n.Name)
}

// String returns n as two tokens, as in subjects and keys.
func (n Name) String() string { return backend.Token(n.Namespace) + "." + backend.Token(n.Name) }

// ParseName is the inverse of [Name.String]. ErrInvalid.
func ParseName(s string) (n Name, err error) {
	namespace, name, ok := strings.Cut(s, ".")
	if !ok {
		return Name{}, backend.Invalid("name", "want two tokens, namespace.name, got %.300q", s)
	}
	if n.Namespace, err = backend.ParseToken("namespace", namespace); err != nil {
		return Name{}, err
	}
	if n.Name, err = backend.ParseToken("name", name); err != nil {
		return Name{}, err
	}
	return n, nil
}

// Prefix is what the store's keys of all objects begin with.
const Prefix = "announce."
