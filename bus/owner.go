package bus

import (
	"crypto/sha256"
	"encoding/base32"

	"github.com/roostbus/roost/backend"
)

// The length of a lease's secret.
const (
	MinSecret = 22
	MaxSecret = 64
)

// ownerLength is the length of an owner's public name, ownerBytes what of the digest it
// shows.
const (
	ownerLength = 26
	ownerBytes  = (ownerLength*5 + 7) / 8
)

// ownerAlphabet is what owners are written in.
const ownerAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// ownerSalt keeps an owner from being the digest of a secret that is used elsewhere, too.
const ownerSalt = "roost-owner"

var ownerEncoding = base32.NewEncoding(ownerAlphabet).WithPadding(base32.NoPadding)

// ValidateSecret checks the form of a lease's secret: MinSecret to MaxSecret characters
// of A-Z a-z 0-9 _ -. The error does not repeat the secret.
func ValidateSecret(secret string) error { return validateSecret("lease", secret) }

// validateSecret is ValidateSecret for the secret in a field of another name.
func validateSecret(field, secret string) error {
	if len(secret) < MinSecret || len(secret) > MaxSecret {
		return backend.Invalid(field, "is %d characters long, %d to %d are allowed", len(secret), MinSecret, MaxSecret)
	}
	if backend.Token(secret) != secret {
		return backend.Invalid(field, "has a character other than A-Z a-z 0-9 _ -")
	}
	return nil
}

// Owner returns the public name of whoever knows secret: the first 26 characters of the
// lower-case base32 of SHA-256("roost-owner" + secret).
func Owner(secret string) string {
	owner := ownerOf(secret)
	return string(owner[:ownerLength])
}

// AppendOwner appends the Owner of a secret that lies in a message.
func AppendOwner(dst, secret []byte) []byte {
	owner := ownerOf(secret)
	return append(dst, owner[:ownerLength]...)
}

func ownerOf[S string | []byte](secret S) (owner [(ownerBytes*8 + 4) / 5]byte) {
	var salted [len(ownerSalt) + MaxSecret]byte
	sum := sha256.Sum256(append(append(salted[:0], ownerSalt...), secret...))
	ownerEncoding.Encode(owner[:], sum[:ownerBytes])
	return owner
}
