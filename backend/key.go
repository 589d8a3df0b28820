package backend

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the greatest length of a name in bytes.
const MaxName = 128

// DefaultNamespace is the namespace of those who name none.
const DefaultNamespace = "default"

// emptyInstance is the token of the empty instance. No name encodes to it, because
// names do not begin with '_'.
const emptyInstance = "_"

// Key names one registration. An empty Instance means that the service has exactly
// one holder under this name.
type Key struct {
	Namespace string
	Service   string
	Instance  string
}

// Validate reports the first part of k that is no valid name, as an [InvalidError].
func (k Key) Validate() error {
	if err := ValidateName("namespace", k.Namespace); err != nil {
		return err
	}
	if err := ValidateName("service", k.Service); err != nil {
		return err
	}
	if k.Instance == "" {
		return nil
	}
	return ValidateName("instance", k.Instance)
}

// String returns k as three tokens joined by dots, the form used in subjects and in
// the store. It is also what lists are ordered by.
func (k Key) String() string {
	return string(k.Append(make([]byte, 0, len(k.Namespace)+len(k.Service)+len(k.Instance)+2)))
}

// Append appends k.String() to dst.
func (k Key) Append(dst []byte) []byte {
	dst = AppendToken(dst, k.Namespace)
	dst = append(dst, '.')
	dst = AppendToken(dst, k.Service)
	dst = append(dst, '.')
	if k.Instance == "" {
		return append(dst, emptyInstance...)
	}
	return AppendToken(dst, k.Instance)
}

// ParseKey is the inverse of [Key.String]. Anything but the canonical form of a valid
// key is an [InvalidError].
func ParseKey(s string) (Key, error) {
	namespace, rest, ok := strings.Cut(s, ".")
	service, instance, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return Key{}, Invalid("key", "want three tokens, namespace.service.instance, got %q", s)
	}
	var k Key
	var err error
	if k.Namespace, err = ParseToken("namespace", namespace); err != nil {
		return Key{}, err
	}
	if k.Service, err = ParseToken("service", service); err != nil {
		return Key{}, err
	}
	if instance == emptyInstance {
		return k, nil
	}
	if k.Instance, err = ParseToken("instance", instance); err != nil {
		return Key{}, err
	}
	return k, nil
}

// ValidateName checks that name is 1 to [MaxName] bytes of UTF-8 without control
// characters and does not begin with '_'. field is what the error calls it.
func ValidateName(field, name string) error {
	switch {
	case name == "":
		return Invalid(field, "must not be empty")
	case len(name) > MaxName:
		return Invalid(field, "is %d bytes long, at most %d are allowed", len(name), MaxName)
	case name[0] == '_':
		return Invalid(field, "%q begins with '_', which is reserved", name)
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < ' ' || c == 0x7f {
			return Invalid(field, "%q contains a control character", name)
		} else if c >= utf8.RuneSelf {
			return validateRunes(field, name)
		}
	}
	return nil
}

func validateRunes(field, name string) error {
	if !utf8.ValidString(name) {
		return Invalid(field, "%q is not valid UTF-8", name)
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return Invalid(field, "%q contains a control character", name)
	}
	return nil
}

// plain reports whether c stands for itself in a token.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

const hexDigits = "0123456789ABCDEF"

// Token returns name as one token: the bytes A-Z a-z 0-9 _ - stand for themselves,
// every other byte becomes '=' and two upper-case hexadecimal digits.
func Token(name string) string {
	for i := 0; i < len(name); i++ {
		if !plain(name[i]) {
			return string(AppendToken(make([]byte, 0, len(name)+8), name))
		}
	}
	return name
}

// AppendToken appends Token(name) to dst.
func AppendToken(dst []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if plain(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// ParseToken returns the name that token stands for. A token that is not the
// canonical encoding of a valid name is an [InvalidError] about field.
func ParseToken(field, token string) (string, error) {
	name := token
	if strings.IndexByte(token, '=') >= 0 {
		decoded, ok := unescape(token)
		if !ok {
			return "", Invalid(field, "%q is not a token", token)
		}
		name = decoded
	}
	if err := ValidateName(field, name); err != nil {
		return "", err
	}
	if Token(name) != token {
		return "", Invalid(field, "%q is not the canonical token of %q", token, name)
	}
	return name, nil
}

func unescape(token string) (string, bool) {
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b = append(b, token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	return string(b), true
}

// Scope is a part of the registry: everything (zero), a namespace, or a service.
type Scope struct {
	Namespace string
	Service   string
}

// Validate reports a part of s that is no valid name, and a service without a namespace.
func (s Scope) Validate() error {
	if s.Namespace == "" {
		if s.Service != "" {
			return Invalid("service", "needs a namespace")
		}
		return nil
	}
	if err := ValidateName("namespace", s.Namespace); err != nil {
		return err
	}
	if s.Service == "" {
		return nil
	}
	return ValidateName("service", s.Service)
}

// Contains reports whether k lies in s.
func (s Scope) Contains(k Key) bool {
	return (s.Namespace == "" || s.Namespace == k.Namespace) && (s.Service == "" || s.Service == k.Service)
}

// String says what s covers, for logs and messages.
func (s Scope) String() string {
	switch {
	case s.Namespace == "":
		return "everything"
	case s.Service == "":
		return fmt.Sprintf("namespace %q", s.Namespace)
	}
	return fmt.Sprintf("service %q in namespace %q", s.Service, s.Namespace)
}
