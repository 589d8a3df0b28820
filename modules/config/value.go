package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// isList reports whether f takes many values: given many times, or joined by commas too.
func isList(f *pflag.Flag) bool { return f.Value.Type() == "stringArray" || isJoined(f) }

func isJoined(f *pflag.Flag) bool { return f.Value.Type() == "stringSlice" }

// parse returns texts as the value of f that they stand for; f itself is not changed.
func parse(f *pflag.Flag, texts ...string) (any, error) {
	if isJoined(f) && len(texts) == 1 {
		return strings.Split(texts[0], ","), nil
	}
	if isList(f) {
		return texts, nil
	}
	text := texts[0]
	switch kind := f.Value.Type(); kind {
	case "bool":
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
		return nil, fmt.Errorf("%q is neither true nor false", text)
	case "duration":
		if d, err := time.ParseDuration(text); err == nil {
			return d, nil
		}
		return nil, fmt.Errorf("%q is not a duration like 500ms, 15s or 2m", text)
	case "int":
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("%q is not a whole number", text)
	case "uint64":
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("%q is not a whole number", text)
	case "float64":
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			return x, nil
		}
		return nil, fmt.Errorf("%q is not a number", text)
	case "string":
		return text, nil
	default:
		return nil, fmt.Errorf("a flag of type %s cannot be set here", kind)
	}
}

// suggestion names the setting that key may be a slip of, "" if none is near.
func (s Sources) suggestion(key string) string {
	best, distance := "", 3
	for _, fs := range append([]*pflag.FlagSet{s.Flags}, s.Others...) {
		fs.VisitAll(func(f *pflag.Flag) {
			if d := editDistance(key, Key(f.Name)); d < distance {
				best, distance = Key(f.Name), d
			}
		})
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
