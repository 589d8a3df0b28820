package backend

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checkJSON checks what json.Valid does not: UTF-8, escapes that stand for no
// character, names that occur twice in one object, and nesting deeper than depth.
func checkJSON(field, text string, depth int) error {
	if !utf8.ValidString(text) {
		return Invalid(field, "is not valid UTF-8")
	}
	c := checker{text: text, i: skipSpace(text, 0), depth: depth, path: []string{field}}
	return c.value(1)
}

// checker walks valid JSON text once, from front to back.
type checker struct {
	text  string
	i     int
	depth int
	path  []string // the field, then the names of the members that are being walked
}

func (c *checker) invalid(format string, args ...any) error {
	return Invalid(strings.Join(c.path, "."), format, args...)
}

func (c *checker) value(depth int) error {
	switch c.text[c.i] {
	case '{':
		if depth > c.depth {
			return c.invalid("is nested more than %d deep", c.depth)
		}
		return c.object(depth)
	case '[':
		if depth > c.depth {
			return c.invalid("is nested more than %d deep", c.depth)
		}
		return c.array(depth)
	case '"':
		_, err := c.literal()
		return err
	}
	c.i = skipValue(c.text, c.i)
	return nil
}

func (c *checker) object(depth int) error {
	var seen names
	for c.i++; ; {
		if done := c.next('}'); done {
			return nil
		}
		literal, err := c.literal()
		if err != nil {
			return err
		}
		name := unquote(literal)
		if !seen.add(name) {
			return c.invalid("has the name %q twice", name)
		}
		c.path = append(c.path, name)
		c.i = skipSpace(c.text, skipSpace(c.text, c.i)+1)
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
}

func (c *checker) array(depth int) error {
	for c.i++; ; {
		if done := c.next(']'); done {
			return nil
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
}

// next goes to the next member or element, or behind end and reports that it did.
func (c *checker) next(end byte) (done bool) {
	c.i = skipSpace(c.text, c.i)
	switch c.text[c.i] {
	case end:
		c.i++
		return true
	case ',':
		c.i = skipSpace(c.text, c.i+1)
	}
	return false
}

// literal goes behind the string literal at c.i and returns it.
func (c *checker) literal() (string, error) {
	end := skipString(c.text, c.i)
	s := c.text[c.i:end]
	c.i = end
	if !soundEscapes(s) {
		return "", c.invalid("has an escaped surrogate that stands for no character")
	}
	return s, nil
}

// soundEscapes reports whether every escaped surrogate of a literal is half of a pair.
func soundEscapes(literal string) bool {
	for {
		i := strings.IndexByte(literal, '\\')
		if i < 0 {
			return true
		}
		literal = literal[i:]
		switch r := escapedRune(literal); {
		case 0xdc00 <= r && r <= 0xdfff:
			return false
		case 0xd800 <= r && r <= 0xdbff:
			if low := escapedRune(literal[6:]); low < 0xdc00 || low > 0xdfff {
				return false
			}
			literal = literal[12:]
		default:
			literal = literal[2:]
		}
	}
}

// escapedRune returns the number in the \uXXXX that s begins with, -1 if it does not.
func escapedRune(s string) int {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

// names is a set of strings that is cheap while it is small.
type names struct {
	few  []string
	many map[string]struct{}
}

// add reports whether name was not in n before.
func (n *names) add(name string) bool {
	if n.many == nil {
		if slices.Contains(n.few, name) {
			return false
		}
		if n.few = append(n.few, name); len(n.few) < 16 {
			return true
		}
		n.many = make(map[string]struct{}, 4*len(n.few))
		for _, old := range n.few {
			n.many[old] = struct{}{}
		}
		return true
	}
	if _, twice := n.many[name]; twice {
		return false
	}
	n.many[name] = struct{}{}
	return true
}
