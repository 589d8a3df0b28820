package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ProblemError says what is wrong with one setting.
type ProblemError struct {
	// Where says where the value came from: "roost.yaml:3: listen", "ROOST_LISTEN" or
	// "--listen"; "" if it is the default.
	Where string
	Key   string // "listen"
	Text  string
}

func (e *ProblemError) Error() string {
	if e.Where == "" {
		return e.Key + ": " + e.Text
	}
	return e.Where + ": " + e.Text
}

// Problem returns a ProblemError about the setting key.
func Problem(key, format string, args ...any) error {
	return &ProblemError{Key: key, Text: fmt.Sprintf(format, args...)}
}

func problemOf(key string, err error) error {
	if err == nil {
		return nil
	}
	return Problem(key, "%v", err)
}

func check(key string, ok bool, text string) error {
	if ok {
		return nil
	}
	return Problem(key, "%s", text)
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return Problem(key, "%q is none of %s", value, strings.Join(allowed, ", "))
}

// placed fills in Where of every ProblemError in err.
func placed(err error, origins map[string]string) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range many.Unwrap() {
			all = append(all, placed(one, origins))
		}
		return errors.Join(all...)
	}
	if p, ok := errors.AsType[*ProblemError](err); ok && p.Where == "" {
		p.Where = origins[p.Key]
	}
	return err
}
