package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// name is how a command line names a registration.
type name struct {
	Namespace string `koanf:"namespace"`
	Instance  string `koanf:"instance"`
	Unique    bool   `koanf:"unique"`
}

func nameFlags(cmd *cobra.Command) {
	cmd.Flags().String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the service")
	instanceFlags(cmd)
}

func instanceFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.String("instance", "", "`NAME` of the instance, instead of SERVICE/INSTANCE; SERVICE is then taken whole")
	fs.Bool("unique", false, "the empty instance: the name has exactly one holder")
}

// key returns the key that argument and the flags name, and whether they name an
// instance.
func (n *name) key(argument string) (k client.Key, whole bool, err error) {
	k = client.Key{Namespace: n.Namespace, Service: argument, Instance: n.Instance}
	given := n.Unique || n.Instance != ""
	if n.Unique && n.Instance != "" {
		return k, false, usagef("--unique is the empty instance; it cannot be given with --instance")
	}
	if !given {
		k.Service, k.Instance, whole = strings.Cut(argument, "/")
		if whole && k.Instance == "" {
			return k, false, usagef("%q names no instance; the empty one is --unique", argument)
		}
	}
	if err := k.Validate(); err != nil {
		return k, false, &usageError{err: err}
	}
	return k, given || whole, nil
}

// instance is key for commands that need an instance.
func (n *name) instance(argument string) (client.Key, error) {
	k, whole, err := n.key(argument)
	if err == nil && !whole {
		err = usagef("%q names a service; name one instance, as SERVICE/INSTANCE, with --instance NAME or with --unique", argument)
	}
	return k, err
}
