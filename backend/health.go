package backend

import "fmt"

// HealthStatus says how well something is.
type HealthStatus uint8

// The health statuses.
const (
	Healthy   HealthStatus = iota + 1
	Degraded               // it answers, but not as it should; see Health.Problems
	Unhealthy              // it cannot do its work
)

var healthNames = [...]string{Healthy: "healthy", Degraded: "degraded", Unhealthy: "unhealthy"}

// String returns the status as the protocol spells it.
func (s HealthStatus) String() string {
	if s > 0 && int(s) < len(healthNames) {
		return healthNames[s]
	}
	return fmt.Sprintf("HealthStatus(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s HealthStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *HealthStatus) UnmarshalText(text []byte) error {
	for i, name := range healthNames {
		if name == string(text) && name != "" {
			*s = HealthStatus(i)
			return nil
		}
	}
	return Invalid("status", "%q is none of healthy, degraded, unhealthy", text)
}

// Health is how a Backend is.
type Health struct {
	Status HealthStatus
	// Backend is the kind of backend: "memory", "durable", "hybrid".
	Backend string
	// State is what it is doing about its source: "live", "syncing", "stale".
	State         string
	Registrations int
	Services      int
	Stamp         Stamp
	// Problems says in words why Status is not Healthy.
	Problems []string
}
