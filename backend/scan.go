package backend

import (
	"encoding/json"
	"iter"
	"strings"
)

// The functions of this file walk JSON text that is known to be valid (json.Valid has
// said so). They share the text's memory and skip what nobody asks for.

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index behind the string literal that begins at s[i].
func skipString(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// skipValue returns the index behind the value that begins at s[i].
func skipValue(s string, i int) int {
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		for depth := 0; i < len(s); i++ {
			switch s[i] {
			case '"':
				i = skipString(s, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(s)
	}
	for i < len(s) {
		switch s[i] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return i
		}
		i++
	}
	return i
}

// isCompact reports whether text has no white space outside its strings.
func isCompact(text string) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = skipString(text, i) - 1
		case ' ', '\t', '\r', '\n':
			return false
		}
	}
	return true
}

// members yields the name and the text of each member of a JSON object.
func members(object string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		i := skipSpace(object, 0) + 1
		for {
			i = skipSpace(object, i)
			if i >= len(object) || object[i] == '}' {
				return
			}
			if object[i] == ',' {
				i = skipSpace(object, i+1)
			}
			end := skipString(object, i)
			name := unquote(object[i:end])
			i = skipSpace(object, skipSpace(object, end)+1)
			end = skipValue(object, i)
			if !yield(name, object[i:end]) {
				return
			}
			i = end
		}
	}
}

// elements yields the text of each element of a JSON array.
func elements(array string) iter.Seq[string] {
	return func(yield func(value string) bool) {
		i := skipSpace(array, 0) + 1
		for {
			i = skipSpace(array, i)
			if i >= len(array) || array[i] == ']' {
				return
			}
			if array[i] == ',' {
				i = skipSpace(array, i+1)
			}
			end := skipValue(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = end
		}
	}
}

// unquote returns the text that a JSON string literal stands for.
func unquote(literal string) string {
	if strings.IndexByte(literal, '\\') < 0 {
		return literal[1 : len(literal)-1]
	}
	var s string
	if err := json.Unmarshal([]byte(literal), &s); err != nil {
		return literal // not reached: the literal is valid
	}
	return s
}

// appendQuoted appends s as a JSON string literal, escaping no more than JSON demands.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}
