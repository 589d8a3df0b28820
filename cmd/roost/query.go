package main

import (
	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// query selects registrations.
type query struct {
	Namespace     string   `koanf:"namespace"`
	AllNamespaces bool     `koanf:"all_namespaces"`
	Where         []string `koanf:"where"`
	Filter        string   `koanf:"filter"`
	Status        []string `koanf:"status"`
	Consistency   string   `koanf:"consistency"`
}

func scopeFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the services")
	fs.Bool("all-namespaces", false, "in every namespace")
}

func consistencyFlag(cmd *cobra.Command) {
	cmd.Flags().String("consistency", backend.Local.String(), "local|linearizable (everything acknowledged so far)")
}

func conditionFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArray("where", nil, "`KEY=VALUE` that the metadata must have, VALUE as JSON or else as text; may be given several times")
	fs.String("filter", "", "`EXPR` that must hold, such as 'metadata.limits.rps >= 100 && weight > 10'")
	fs.StringArray("status", nil, "up|draining|down; may be given several times")
}

// query returns what the flags ask for, of one service or, if "", of all.
func (q *query) query(service string) (client.Query, error) {
	var result client.Query
	result.Filter = q.Filter
	if !q.AllNamespaces {
		result.Namespace, result.Service = q.Namespace, service
	} else if service != "" {
		return result, usagef("--all-namespaces is about all services; name no SERVICE")
	}
	names, values, err := pairs("where", q.Where)
	if err != nil {
		return result, err
	}
	for i, n := range names {
		value, err := backend.ParseScalar("where."+n, jsonOf(values[i]))
		if err != nil {
			return result, &usageError{err: err}
		}
		if result.Where == nil {
			result.Where = make(map[string]client.Scalar)
		}
		result.Where[n] = value
	}
	for _, text := range q.Status {
		status, err := backend.ParseStatus(text)
		if err != nil {
			return result, &usageError{err: err}
		}
		result.Status = append(result.Status, status)
	}
	if result.Consistency, err = backend.ParseConsistency(q.Consistency); err != nil {
		return result, &usageError{err: err}
	}
	if err := result.Validate(); err != nil {
		return result, &usageError{err: err}
	}
	return result, nil
}
