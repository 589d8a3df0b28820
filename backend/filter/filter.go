package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/roostbus/roost/backend"
)

// Filter reports whether a registration matches.
type Filter func(*backend.Registration) bool

// maxNodes bounds the expression's parts: names, constants, operators.
const maxNodes = 1000

// memoryBudget bounds the elements of lists that one evaluation may make.
const memoryBudget = 100_000

// builtins are the functions that an expression may call.
var builtins = [...]string{
	"all", "none", "any", "one", "count", "len", "type",
	"abs", "ceil", "floor", "round", "int", "float", "string", "max", "min",
	"trim", "trimPrefix", "trimSuffix", "upper", "lower",
	"indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
	"first", "last", "keys", "values",
}

// Compile returns the Filter that text describes: an [backend.InvalidError] with the
// position of what is wrong, or a [backend.TooLargeError].
func Compile(text string) (Filter, error) {
	if len(text) > backend.MaxFilter {
		return nil, &backend.TooLargeError{Field: "filter", Size: int64(len(text)), Limit: backend.MaxFilter}
	}
	if !utf8.ValidString(text) {
		return nil, backend.Invalid("filter", "is not valid UTF-8")
	}
	g := &guard{}
	program, err := expr.Compile(text, options(g)...)
	if g.problem != "" {
		return nil, invalid(text, g.from, g.problem)
	}
	if err != nil {
		return nil, refused(err)
	}
	runners := &sync.Pool{New: func() any {
		return &runner{vm: vm.VM{MemoryBudget: memoryBudget}, env: make(map[string]any, len(names))}
	}}
	names := g.names
	return func(r *backend.Registration) bool {
		run := runners.Get().(*runner)
		matches := run.matches(program, names, r)
		runners.Put(run)
		return matches
	}, nil
}

func options(g *guard) []expr.Option {
	sample := make(map[string]any, len(names))
	for _, n := range names {
		sample[n.name] = n.sample
	}
	opts := []expr.Option{
		expr.Env(sample), expr.AsBool(), expr.MaxNodes(maxNodes), expr.Patch(g), expr.DisableAllBuiltins(),
	}
	for _, name := range builtins {
		opts = append(opts, expr.EnableBuiltin(name))
	}
	return append(opts, functions()...)
}

// refused is err as the caller's fault.
func refused(err error) error {
	at, ok := errors.AsType[*file.Error](err)
	if !ok {
		return backend.Invalid("filter", "%s", firstLine(err.Error()))
	}
	if at.Line == 0 {
		return backend.Invalid("filter", "%s", firstLine(at.Message))
	}
	return backend.Invalid("filter", "%d:%d: %s", at.Line, at.Column+1, firstLine(at.Message))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// invalid is a problem at the rune with index from.
func invalid(text string, from int, problem string) error {
	line, column := 1, 1
	for _, r := range string([]rune(text)[:min(from, len([]rune(text)))]) {
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return backend.Invalid("filter", "%s", fmt.Sprintf("%d:%d: %s", line, column, problem))
}
