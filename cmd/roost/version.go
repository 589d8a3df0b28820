package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versions are what version shows.
type versions struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	NATS    string `json:"nats_server"`
}

func newVersion(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Example: "  roost version --json",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s struct {
				JSON bool `koanf:"json"`
			}
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			v := versions{Version: p.version, Go: runtime.Version(), NATS: moduleVersion("github.com/nats-io/nats-server/v2")}
			if s.JSON {
				return json.NewEncoder(p.stdout).Encode(v)
			}
			_, err := fmt.Fprintf(p.stdout, "roost %s (%s, nats-server %s)\n", v.Version, v.Go, v.NATS)
			return err
		},
	}
	cmd.Flags().Bool("json", false, "as JSON")
	return cmd
}

// moduleVersion returns the version of a module that this program was built from.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}
