package filter

import (
	"math"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm/runtime"
)

// functions are those that guard puts into expressions. None of them fails.
func functions() []expr.Option {
	return []expr.Option{
		expr.Function("field()", func(p ...any) (any, error) { return field(p[0], p[1]), nil },
			new(func(any, any) any)),
		expr.Function("truth()", func(p ...any) (any, error) { return p[0] == true, nil },
			new(func(any) bool)),
		expr.Function("text()", func(p ...any) (any, error) { return text(p[0]), nil },
			new(func(any) any)),
		expr.Function("list()", func(p ...any) (any, error) { return list(p[0]), nil },
			new(func(any) []any)),
		expr.Function("compare()", func(p ...any) (any, error) { return compare(p[0], p[1], p[2]), nil },
			new(func(string, any, any) bool)),
		expr.Function("strings()", func(p ...any) (any, error) { return relate(p[0], p[1], p[2]), nil },
			new(func(string, any, any) bool)),
		expr.Function("in()", func(p ...any) (any, error) { return in(p[0], p[1]), nil },
			new(func(any, any) bool)),
		expr.Function("arithmetic()", func(p ...any) (any, error) { return arithmetic(p[0], p[1], p[2]), nil },
			new(func(string, any, any) any)),
	}
}

// field is from.name or from[name]; nil if there is none.
func field(from, name any) any {
	switch from := from.(type) {
	case map[string]any:
		if name, ok := name.(string); ok {
			return from[name]
		}
	case []any:
		if i, ok := name.(int); ok {
			if i < 0 {
				i += len(from)
			}
			if i >= 0 && i < len(from) {
				return from[i]
			}
		}
	}
	return nil
}

func text(v any) any {
	if s, ok := v.(string); ok && len(s) <= maxLength {
		return s
	}
	return nil
}

func list(v any) []any {
	if l, ok := v.([]any); ok && len(l) <= maxLength {
		return l
	}
	return nil
}

// compare orders two numbers or two strings; nothing else has an order.
func compare(operator, a, b any) bool {
	var d int
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		if !ok {
			return false
		}
		d = strings.Compare(x, y)
	} else if !isNumber(a) || !isNumber(b) {
		return false
	} else {
		switch {
		case runtime.Less(a, b):
			d = -1
		case runtime.More(a, b):
			d = 1
		case !runtime.Equal(a, b): // not a number
			return false
		}
	}
	switch operator {
	case "<":
		return d < 0
	case "<=":
		return d <= 0
	case ">":
		return d > 0
	}
	return d >= 0
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, float64:
		return true
	}
	return false
}

func relate(operator, a, b any) bool {
	x, ok := a.(string)
	y, ok2 := b.(string)
	if !ok || !ok2 {
		return false
	}
	switch operator {
	case "startsWith":
		return strings.HasPrefix(x, y)
	case "endsWith":
		return strings.HasSuffix(x, y)
	}
	return strings.Contains(x, y)
}

// in reports whether a list has an element, or an object a member called so.
func in(needle, in any) bool {
	switch in := in.(type) {
	case map[string]any:
		name, ok := needle.(string)
		_, has := in[name]
		return ok && has
	case map[string]string:
		name, ok := needle.(string)
		_, has := in[name]
		return ok && has
	case []any, []string, []int, []float64:
		return runtime.In(needle, in)
	}
	return false
}

// arithmetic computes with two numbers, or joins two strings; else there is no result.
func arithmetic(operator, a, b any) any {
	if x, ok := a.(string); ok && operator == "+" {
		if y, ok := b.(string); ok && len(x)+len(y) <= maxLength {
			return x + y
		}
		return nil
	}
	if !isNumber(a) || !isNumber(b) {
		return nil
	}
	switch operator {
	case "+":
		return runtime.Add(a, b)
	case "-":
		return runtime.Subtract(a, b)
	case "*":
		return runtime.Multiply(a, b)
	case "/":
		return runtime.Divide(a, b)
	case "%":
		x, ok := a.(int)
		y, ok2 := b.(int)
		if !ok || !ok2 || y == 0 {
			return nil
		}
		return x % y
	}
	return math.Pow(runtime.ToFloat64(a), runtime.ToFloat64(b))
}
