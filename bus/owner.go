package bus

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/roostbus/roost/backend"
)

// The length of a lease's secret.
const (
	MinSecret = 22
	MaxSecret = 64
)

// ownerLength is the length of an owner's public name.
const ownerLength = 26

// ValidateSecret checks the form of a lease's secret: MinSecret to MaxSecret characters
// of A-Z a-z 0-9 _ -. The error does not repeat the secret.
func ValidateSecret(secret string) error {
	if len(secret) < MinSecret || len(secret) > MaxSecret {
		return backend.Invalid("lease", "is %d characters long, %d to %d are allowed", len(secret), MinSecret, MaxSecret)
	}
	if backend.Token(secret) != secret {
		return backend.Invalid("lease", "has a character other than A-Z a-z 0-9 _ -")
	}
	return nil
}

// Owner returns the public name of whoever knows secret: the first 26 characters of the
// lower-case base32 of SHA-256("roost-owner" + secret).
func Owner(secret string) string {
	sum := sha256.Sum256([]byte("roost-owner" + secret))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:ownerLength]
}
