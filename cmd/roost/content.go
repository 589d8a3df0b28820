package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// content is what a register or update says about an instance.
type content struct {
	Endpoints []string `koanf:"endpoint"`
	Meta      []string `koanf:"meta"`
	Weight    int      `koanf:"weight"`
	Status    string   `koanf:"status"`
}

// contentFlags adds the flags of content with what they are by default.
func contentFlags(cmd *cobra.Command, weight int, status string) {
	fs := cmd.Flags()
	fs.StringArray("endpoint", nil, "`NAME=URI` of a way to reach it; may be given several times")
	fs.StringArray("meta", nil, "`KEY=VALUE` of metadata, VALUE as JSON or else as text; may be given several times")
	fs.Int("weight", weight, "share of the load, 0 to 65535")
	fs.String("status", status, "up|draining|down")
	if weight < 0 {
		fs.Lookup("weight").DefValue = "0" // so that the help shows none
	}
}

// pairs splits NAME=VALUE texts in their order.
func pairs(flag string, texts []string) (names, values []string, err error) {
	for _, text := range texts {
		n, v, ok := strings.Cut(text, "=")
		if !ok || n == "" {
			return nil, nil, usagef("--%s %q: want NAME=VALUE", flag, text)
		}
		names, values = append(names, n), append(values, v)
	}
	return names, values, nil
}

func (c *content) endpoints() (client.Endpoints, error) {
	names, values, err := pairs("endpoint", c.Endpoints)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]string)
	for i, n := range names {
		if _, twice := seen[n]; twice {
			return nil, usagef("--endpoint %s is given twice", n)
		}
		seen[n] = values[i]
	}
	return client.EndpointsOf(seen), nil
}

// metadata returns the object that --meta describes, as JSON, numbers as they were given.
func (c *content) metadata() ([]byte, error) {
	names, values, err := pairs("meta", c.Meta)
	if err != nil {
		return nil, err
	}
	object := []byte{'{'}
	for i, n := range names {
		if i > 0 {
			object = append(object, ',')
		}
		object = append(append(append(object, quoted(n)...), ':'), jsonOf(values[i])...)
	}
	return append(object, '}'), nil
}

// jsonOf returns text if it is JSON, else text as a JSON string.
func jsonOf(text string) []byte {
	if json.Valid([]byte(text)) {
		return []byte(text)
	}
	return quoted(text)
}

// quoted returns text as a JSON string.
func quoted(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		return []byte(`""`) // a string always marshals
	}
	return b
}

func (c *content) weight() (uint16, error) {
	if c.Weight < 0 || c.Weight > backend.MaxWeight {
		return 0, usagef("--weight %d: must be 0 to %d", c.Weight, backend.MaxWeight)
	}
	return uint16(c.Weight), nil
}
