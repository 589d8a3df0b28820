package bus

import (
	"strings"

	"github.com/roostbus/roost/backend"
)

// LeaseGrant returns the subject of a grant.
func (s Subjects) LeaseGrant() string { return s.prefix + ".lease.grant" }

// LeaseKeepalive returns the subject of a keepalive.
func (s Subjects) LeaseKeepalive() string { return s.prefix + ".lease.keepalive" }

// LeaseRevoke returns the subject of a revoke.
func (s Subjects) LeaseRevoke() string { return s.prefix + ".lease.revoke" }

// LeaseGet returns the subject of a request for owner's lease; "*" stands for any.
func (s Subjects) LeaseGet(owner string) string { return s.prefix + ".lease.get." + owner }

// LeaseList returns the subject of a request for all leases.
func (s Subjects) LeaseList() string { return s.prefix + ".lease.list" }

// AdminRevoke returns the subject of an operator's revoke of owner's lease; "*" stands
// for any.
func (s Subjects) AdminRevoke(owner string) string { return s.prefix + ".admin.revoke." + owner }

// ParseLeaseGet returns the owner in the subject of a request for one lease.
func (s Subjects) ParseLeaseGet(subject string) (string, error) {
	return s.parseOwner("lease.get", subject)
}

// ParseAdminRevoke returns the owner in the subject of an operator's revoke.
func (s Subjects) ParseAdminRevoke(subject string) (string, error) {
	return s.parseOwner("admin.revoke", subject)
}

func (s Subjects) parseOwner(room, subject string) (string, error) {
	owner, err := s.rest(room, subject)
	if err != nil {
		return "", err
	}
	return owner, ValidateOwner(owner)
}

// ValidateOwner checks the form of an owner's public name: 26 characters of a-z 2-7.
func ValidateOwner(owner string) error { return validateOwner("owner", owner) }

// validateOwner is ValidateOwner for the owner in a field of another name.
func validateOwner(field, owner string) error {
	if len(owner) != ownerLength || strings.Trim(owner, ownerAlphabet) != "" {
		return backend.Invalid(field, "%.40q must be %d characters of a-z 2-7", owner, ownerLength)
	}
	return nil
}
