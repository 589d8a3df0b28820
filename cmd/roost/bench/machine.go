package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is where a run took place.
type Machine struct {
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Cores int    `json:"cores"`
	CPU   string `json:"cpu,omitempty"`
}

func newReport(c *Config) *Report {
	server := c.Server
	if server == "" {
		server = "its own"
	}
	return &Report{
		Version: c.Version, Go: runtime.Version(), NATSGo: moduleVersion("github.com/nats-io/nats.go"),
		Machine: Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), CPU: cpuModel()},
		Settings: Settings{
			Server: server, Prefix: c.Prefix, DurationMs: c.Duration.Milliseconds(), Rounds: c.Rounds,
			Connections: c.Connections, Registrations: c.Registrations,
			Copied: c.Copied, Scale: c.Scale, Curves: c.Curves, Nodes: c.Nodes, Subscribers: c.Subscribers, BatchSize: c.BatchSize,
			Leases: c.Leases, Beating: c.Beating, Waiters: c.Waiters,
		},
	}
}

// cpuModel returns what the processor calls itself, where the system says so.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// moduleVersion returns the version of a module that this program was built from.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
