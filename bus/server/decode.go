package server

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// strict are the rules that bodies are read by: besides these, names that occur twice,
// invalid UTF-8 and trailing data are errors by default.
var strict = json.JoinOptions(json.RejectUnknownMembers(true))

// decode reads the body of a request into v, a pointer to a message of package bus. An
// empty body is an empty object. Whatever is wrong is an InvalidError that names the field.
func decode(data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, v, strict); err != nil {
		return decodeError(err)
	}
	if bytes.Contains(data, []byte("null")) || bytes.Contains(data, []byte(`""`)) {
		return checkPresent(data)
	}
	return nil
}

// checkPresent reports a null where a value is wanted, and an empty text where it would
// be taken for none given. data has been decoded without an error.
func checkPresent(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if d.PeekKind() == 'n' {
		return backend.Invalid("body", "must be a JSON object, not null")
	}
	return checkMembers(d, "")
}

// checkMembers reads an object. The members of inner objects are the business of their
// own types, but for those of operations.
func checkMembers(d *jsontext.Decoder, path string) error {
	if _, err := d.ReadToken(); err != nil {
		return decodeError(err)
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return decodeError(err)
		}
		name := token.String()
		switch kind := d.PeekKind(); {
		case kind == 'n':
			return backend.Invalid(path+name, "must not be null")
		case name == "operations" && path == "":
			err = checkOperations(d)
		default:
			var value jsontext.Value
			if value, err = d.ReadValue(); err == nil && string(value) == `""` && !mayBeEmpty(name) {
				return backend.Invalid(path+name, "must not be empty")
			}
		}
		if err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// mayBeEmpty reports whether an empty text says something else than nothing.
func mayBeEmpty(name string) bool {
	switch name {
	case "lease", "consistency", "mode", "to", "id":
		return false
	}
	return true
}

func checkOperations(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return decodeError(err)
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		if d.PeekKind() != '{' {
			return backend.Invalid(fmt.Sprintf("operations.%d", i), "must be a JSON object")
		}
		if err := checkMembers(d, fmt.Sprintf("operations.%d.", i)); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// decodeError turns an error of package json into one that names the field in the words
// of the protocol.
func decodeError(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(e.Err, jsontext.ErrDuplicateName) {
			return backend.Invalid(field(e.JSONPointer), "occurs twice")
		}
		return backend.Invalid(field(e.JSONPointer), "is not JSON: %v, at byte %d", e.Err, e.ByteOffset)
	}
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return backend.Invalid("body", "is not JSON: %v", err)
	}
	at := field(e.JSONPointer)
	if errors.Is(e.Err, json.ErrUnknownName) {
		return backend.Invalid(at, "is not a field of this request")
	}
	if d, ok := errors.AsType[*backend.InvalidError](e.Err); ok {
		return &backend.InvalidError{Field: join(at, d.Field), Problem: d.Problem}
	}
	return backend.Invalid(at, "must be %s", wanted(e.GoType))
}

// field returns a JSON pointer as the protocol writes it: limits/rps is limits.rps.
func field(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "body"
	}
	f := strings.Join(names, ".")
	if len(f) > maxField {
		f = strings.ToValidUTF8(f[:maxField], "") + "…"
	}
	return f
}

// maxField is how much of a field's name an error repeats, in bytes.
const maxField = 256

// join returns where an error is that a type reported about itself: at is where the value
// stands, inner what the type calls it, or a part of it.
func join(at, inner string) string {
	parent, last := "", at
	if i := strings.LastIndexByte(at, '.'); i >= 0 {
		parent, last = at[:i+1], at[i+1:]
	}
	if strings.HasPrefix(inner, last+".") {
		return parent + inner
	}
	return at
}

// wanted says in words what a Go type is decoded from.
func wanted(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[bus.Instant]() {
		return "an instant like 2006-01-02T15:04:05Z"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint16:
		return fmt.Sprintf("a whole number, 0 to %d", backend.MaxWeight)
	case reflect.Uint32, reflect.Uint64:
		return "a whole number that is not negative"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice, reflect.Array:
		return "a JSON array"
	}
	return "a JSON object"
}
