package filter

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/expr-lang/expr/vm"

	"github.com/roostbus/roost/backend"
)

// names are what an expression may speak of: how each is called, a value of its type,
// and where it comes from.
var names = [...]struct {
	name   string
	sample any
	of     func(*backend.Registration) any
}{
	{"namespace", "", func(r *backend.Registration) any { return r.Namespace }},
	{"service", "", func(r *backend.Registration) any { return r.Service }},
	{"instance", "", func(r *backend.Registration) any { return r.Instance }},
	{"status", "", func(r *backend.Registration) any { return r.Status.String() }},
	{"weight", 0, func(r *backend.Registration) any { return int(r.Weight) }},
	{"endpoints", map[string]string{}, func(r *backend.Registration) any { return maps.Collect(r.Endpoints.All()) }},
	{"metadata", map[string]any{}, func(r *backend.Registration) any { return decode(r.Metadata) }},
}

// used says which of names an expression mentions.
type used [len(names)]bool

// runner is what one evaluation at a time needs.
type runner struct {
	vm  vm.VM
	env map[string]any
}

// matches evaluates program. An expression that fails at run time does not match.
func (run *runner) matches(program *vm.Program, mentioned used, r *backend.Registration) bool {
	for i, is := range mentioned {
		if is {
			run.env[names[i].name] = names[i].of(r)
		}
	}
	result, err := run.vm.Run(program, run.env)
	clear(run.env) // keeps nothing of r alive
	yes, _ := result.(bool)
	return yes && err == nil
}

// decode returns m as maps, lists, strings, booleans and numbers: int where the number is
// whole and fits, else float64.
func decode(m backend.Metadata) map[string]any {
	d := json.NewDecoder(strings.NewReader(m.String()))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return map[string]any{}
	}
	for name, value := range object {
		object[name] = plain(value)
	}
	return object
}

func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case map[string]any:
		for name, value := range v {
			v[name] = plain(value)
		}
	case []any:
		for i, value := range v {
			v[i] = plain(value)
		}
	}
	return v
}

func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return int(i)
	}
	f, _ := n.Float64() // beyond its range it is infinite, which compares as it should
	return f
}
