package backend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"strings"
)

// MaxDepth is how deep metadata may be nested; the metadata object itself is 1 deep.
const MaxDepth = 8

// Metadata is what a registration says about itself: the compact text of one JSON
// object. Numbers keep their digits and members their order. The zero value stands for {}.
type Metadata string

// MetadataOf encodes v, which must marshal to a JSON object, with encoding/json.
func MetadataOf(v any) (Metadata, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode metadata: %w", err)
	}
	return ParseMetadata(b.Bytes())
}

// ParseMetadata returns text without its insignificant white space. Anything but a
// JSON object with unique names, nested at most [MaxDepth] deep, is an [InvalidError].
func ParseMetadata(text []byte) (Metadata, error) { return parseObject("metadata", text, MaxDepth) }

// ParsePatch is ParseMetadata for an RFC 7396 merge patch, for [Metadata.Merge].
func ParsePatch(text []byte) (Metadata, error) { return parseObject("merge_metadata", text, MaxDepth) }

func parseObject(field string, text []byte, depth int) (Metadata, error) {
	if !json.Valid(text) {
		return "", Invalid(field, "is not JSON")
	}
	object := string(text)
	if !isCompact(object) {
		var b bytes.Buffer
		if err := json.Compact(&b, text); err != nil {
			return "", Invalid(field, "is not JSON: %v", err)
		}
		object = b.String()
	}
	if object[0] != '{' {
		return "", Invalid(field, "must be a JSON object")
	}
	if err := checkJSON(field, object, depth); err != nil {
		return "", err
	}
	return canonicalEmpty(object), nil
}

// validate checks that m is what ParseMetadata returns; "{}" is as good as "".
func (m Metadata) validate(field string) error {
	if m == "" {
		return nil
	}
	compact, err := parseObject(field, []byte(m), MaxDepth)
	if err != nil {
		return err
	}
	if compact.String() != string(m) {
		return Invalid(field, "is not compact; make it with MetadataOf or ParseMetadata")
	}
	return nil
}

func canonicalEmpty(object string) Metadata {
	if object == "{}" {
		return ""
	}
	return Metadata(object)
}

// String returns the JSON text of m.
func (m Metadata) String() string {
	if m == "" {
		return "{}"
	}
	return string(m)
}

// MarshalJSON implements json.Marshaler.
func (m Metadata) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON implements json.Unmarshaler; it accepts what [ParseMetadata] accepts.
func (m *Metadata) UnmarshalJSON(text []byte) error {
	parsed, err := ParseMetadata(text)
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// Decode decodes m into v as encoding/json does.
func (m Metadata) Decode(v any) error {
	if err := json.Unmarshal([]byte(m.String()), v); err != nil {
		return fmt.Errorf("decode metadata: %w", err)
	}
	return nil
}

// Merge applies an RFC 7396 merge patch and returns the result: members of the patch
// replace those of m, null removes, objects are merged. The members of m keep their
// order and what is new follows. Both must be what ParseMetadata or ParsePatch return.
func (m Metadata) Merge(patch Metadata) Metadata {
	return canonicalEmpty(merge(m.String(), patch.String()))
}

func merge(target, patch string) string {
	if patch[0] != '{' {
		return patch
	}
	if target == "" || target[0] != '{' {
		target = "{}"
	}
	changes := map[string]string{}
	for name, value := range members(patch) {
		changes[name] = value
	}
	b := []byte{'{'}
	add := func(name, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(appendQuoted(b, name), ':'), value...)
	}
	for name, value := range members(target) {
		change, changed := changes[name]
		delete(changes, name)
		switch {
		case !changed:
			add(name, value)
		case change != "null":
			add(name, merge(value, change))
		}
	}
	for name, value := range members(patch) { // what is new, in the patch's order
		if _, left := changes[name]; left && value != "null" {
			add(name, merge("", value))
		}
	}
	return string(append(b, '}'))
}

// Scalar is a JSON string, number, boolean or null in canonical form, so that equal
// values are equal Scalars: 200, 200.0 and 2e2 are one number.
type Scalar string

// ScalarOf returns the Scalar of a Go value: a string, a boolean, nil, a number, or a
// json.Number.
func ScalarOf(v any) (Scalar, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode value: %w", err)
	}
	return ParseScalar("value", text)
}

// ParseScalar returns the canonical form of a JSON text. A text that is no string,
// number, boolean or null is an [InvalidError] about field.
func ParseScalar(field string, text []byte) (Scalar, error) {
	if !json.Valid(text) {
		return "", Invalid(field, "is not JSON")
	}
	trimmed := strings.TrimSpace(string(text))
	if trimmed[0] == '{' || trimmed[0] == '[' {
		return "", Invalid(field, "must be a string, a number, true, false or null")
	}
	if err := checkJSON(field, trimmed, MaxDepth); err != nil {
		return "", err
	}
	return scalar(trimmed), nil
}

// scalar is ParseScalar for valid text of a scalar.
func scalar(text string) Scalar {
	switch c := text[0]; {
	case c == '"':
		if strings.IndexByte(text, '\\') < 0 {
			return Scalar(text)
		}
		return Scalar(appendQuoted(nil, unquote(text)))
	case c == '-' || '0' <= c && c <= '9':
		return Scalar(canonicalNumber(text))
	}
	return Scalar(text)
}

// canonicalNumber writes a JSON number as digits without zeros at either end and an
// exponent, so that equal numbers are equal texts. No precision is lost.
func canonicalNumber(text string) string {
	number, negative := strings.CutPrefix(text, "-")
	mantissa, exponent := number, new(big.Int)
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa = number[:i]
		exponent.SetString(strings.TrimPrefix(number[i+1:], "+"), 10)
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	significant := strings.TrimRight(digits, "0")
	exponent.Add(exponent, big.NewInt(int64(len(digits)-len(significant)-len(fraction))))
	if negative {
		significant = "-" + significant
	}
	if exponent.Sign() == 0 {
		return significant
	}
	return significant + "e" + exponent.String()
}

// Scalars yields every scalar of m with its path: the member names joined by dots.
// The elements of an array have the array's path, so a path can occur more than once,
// as it can where a name contains a dot.
func (m Metadata) Scalars() iter.Seq2[string, Scalar] {
	return func(yield func(string, Scalar) bool) {
		if m != "" {
			walk("", string(m), yield)
		}
	}
}

func walk(path, text string, yield func(string, Scalar) bool) bool {
	switch text[0] {
	case '{':
		for name, value := range members(text) {
			if path != "" {
				name = path + "." + name
			}
			if !walk(name, value, yield) {
				return false
			}
		}
		return true
	case '[':
		for value := range elements(text) {
			if !walk(path, value, yield) {
				return false
			}
		}
		return true
	}
	return yield(path, scalar(text))
}

// Has reports whether m has value at path, or an array at path that contains it.
func (m Metadata) Has(path string, value Scalar) bool {
	for p, v := range m.Scalars() {
		if p == path && v == value {
			return true
		}
	}
	return false
}

// Text returns the Go string of a string Scalar, else its JSON text.
func (s Scalar) Text() string {
	if s != "" && s[0] == '"' {
		return unquote(string(s))
	}
	return string(s)
}

// MarshalJSON implements json.Marshaler.
func (s Scalar) MarshalJSON() ([]byte, error) {
	if s == "" {
		return nil, fmt.Errorf("encode scalar: %w", ErrInvalid)
	}
	return []byte(s), nil
}

// UnmarshalJSON implements json.Unmarshaler; it accepts what [ParseScalar] accepts.
func (s *Scalar) UnmarshalJSON(text []byte) error {
	parsed, err := ParseScalar("value", text)
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// appendInt appends a number in decimal.
func appendInt[T ~uint64 | ~uint16](dst []byte, n T) []byte {
	return strconv.AppendUint(dst, uint64(n), 10)
}
