package backend

import (
	"encoding/json"
	"strconv"
	"time"
)

// timeFormat is RFC 3339 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// maxStoredDepth is how deep a stored registration may be nested: deeper than any that
// may be written, and shallow enough to be walked.
const maxStoredDepth = 64

// AppendJSON appends r as the protocol shows it, revision included.
func (r *Registration) AppendJSON(dst []byte) []byte {
	dst = r.appendContent(dst)
	dst = append(dst, `,"revision":`...)
	dst = appendInt(dst, r.Revision)
	dst = append(dst, `,"created_revision":`...)
	dst = appendInt(dst, r.CreatedRevision)
	return append(r.appendTimes(dst), '}')
}

// AppendStored appends r as it is stored and published in events: without its revision,
// which is its message's own sequence, and without created_revision if that is 0, which
// stands for "the same".
func (r *Registration) AppendStored(dst []byte) []byte {
	dst = r.appendContent(dst)
	if r.CreatedRevision != 0 {
		dst = append(dst, `,"created_revision":`...)
		dst = appendInt(dst, r.CreatedRevision)
	}
	return append(r.appendTimes(dst), '}')
}

func (r *Registration) appendContent(dst []byte) []byte {
	dst = append(dst, `{"namespace":`...)
	dst = appendQuoted(dst, r.Namespace)
	dst = append(dst, `,"service":`...)
	dst = appendQuoted(dst, r.Service)
	dst = append(dst, `,"instance":`...)
	dst = appendQuoted(dst, r.Instance)
	dst = append(dst, `,"endpoints":`...)
	dst = r.Endpoints.append(dst)
	dst = append(dst, `,"metadata":`...)
	dst = append(dst, r.Metadata.String()...)
	dst = append(dst, `,"weight":`...)
	dst = appendInt(dst, r.Weight)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, r.Status.String()...)
	dst = append(dst, `","owner":`...)
	return appendQuoted(dst, r.Owner)
}

func (r *Registration) appendTimes(dst []byte) []byte {
	dst = append(dst, `,"created_at":"`...)
	dst = appendTime(dst, r.CreatedAt)
	dst = append(dst, `","updated_at":"`...)
	dst = appendTime(dst, r.UpdatedAt)
	return append(dst, '"')
}

// appendTime appends t in timeFormat, several times as fast as time.AppendFormat.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, timeFormat)
	}
	hour, minute, second := t.Clock()
	dst = append(append2(append2(dst, year/100), year%100), '-')
	dst = append(append2(dst, int(month)), '-')
	dst = append(append2(dst, day), 'T')
	dst = append(append2(dst, hour), ':')
	dst = append(append2(dst, minute), ':')
	dst = append(append2(dst, second), '.')
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(append2(dst, ms/10), byte('0'+ms%10), 'Z')
}

// append2 appends two digits.
func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// MarshalJSON implements json.Marshaler in the form of [Registration.AppendJSON].
func (r Registration) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler. Members it does not know are ignored.
func (r *Registration) UnmarshalJSON(text []byte) error {
	parsed, err := ParseRegistration(text)
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// ParseRegistration reads the form of [Registration.AppendJSON] or
// [Registration.AppendStored]; the result shares no memory with text. Names are
// checked, sizes are not: what is stored was checked when it was written.
func ParseRegistration(text []byte) (Registration, error) {
	if r, rest, ok := cutPlain(text); ok && len(rest) == 0 {
		return r, nil
	}
	return parseGeneral(text)
}

// parseGeneral is ParseRegistration of whatever it is.
func parseGeneral(text []byte) (Registration, error) {
	if !json.Valid(text) {
		return Registration{}, Invalid("registration", "is not JSON")
	}
	object := string(text)
	if object[skipSpace(object, 0)] != '{' {
		return Registration{}, Invalid("registration", "must be a JSON object")
	}
	if err := checkJSON("registration", object, maxStoredDepth); err != nil {
		return Registration{}, err
	}
	r := Registration{Weight: DefaultWeight, Status: Up}
	for name, value := range members(object) {
		if err := r.parseMember(name, value); err != nil {
			return Registration{}, err
		}
	}
	if err := r.Key.Validate(); err != nil {
		return Registration{}, err
	}
	if r.CreatedRevision == 0 {
		r.CreatedRevision = r.Revision
	}
	return r, nil
}

func (r *Registration) parseMember(name, value string) (err error) {
	switch name {
	case "namespace":
		r.Namespace, err = parseString(name, value)
	case "service":
		r.Service, err = parseString(name, value)
	case "instance":
		r.Instance, err = parseString(name, value)
	case "endpoints":
		r.Endpoints, err = parseEndpoints(value)
	case "metadata":
		r.Metadata, err = parseStoredMetadata(value)
	case "weight":
		r.Weight, err = parseUint[uint16](name, value, 16)
	case "status":
		var s string
		if s, err = parseString(name, value); err == nil {
			r.Status, err = ParseStatus(s)
		}
	case "owner":
		r.Owner, err = parseString(name, value)
	case "revision":
		r.Revision, err = parseUint[Revision](name, value, 64)
	case "created_revision":
		r.CreatedRevision, err = parseUint[Revision](name, value, 64)
	case "created_at":
		r.CreatedAt, err = parseTime(name, value)
	case "updated_at":
		r.UpdatedAt, err = parseTime(name, value)
	}
	return err
}

// parseStoredMetadata takes text, which has been checked, as it is where it is compact
// already; what we stored always is.
func parseStoredMetadata(text string) (Metadata, error) {
	if text[0] == '{' && isCompact(text) {
		return canonicalEmpty(text), nil
	}
	return parseObject("metadata", []byte(text), maxStoredDepth)
}

func parseString(field, text string) (string, error) {
	if text[0] != '"' {
		return "", Invalid(field, "must be a string")
	}
	return unquote(text), nil
}

func parseUint[T ~uint64 | ~uint16](field, text string, bits int) (T, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, Invalid(field, "must be a whole number of at most %d bits, got %s", bits, text)
	}
	return T(n), nil
}

func parseTime(field, text string) (time.Time, error) {
	s, err := parseString(field, text)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, Invalid(field, "must be an RFC 3339 time, got %q", s)
	}
	return t.UTC(), nil
}
