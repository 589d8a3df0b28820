package backend

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Nearly every registration that is read was written by [Registration.AppendJSON] or
// [Registration.AppendStored] and has no escapes. Such a text is plain and read in one
// pass here. Whatever is otherwise is left to the general reader, which gives the same for
// all that this one takes.

// CutRegistration reads the registration that text begins with, as [ParseRegistration]
// does, and returns what is behind it. It reports false where there is none.
func CutRegistration(text []byte) (r Registration, rest []byte, ok bool) {
	if r, rest, ok = cutPlain(text); ok {
		return r, rest, true
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&r); err != nil {
		return Registration{}, text, false
	}
	return r, text[d.InputOffset():], true
}

// cutPlain is CutRegistration of plain text. That it reports false says nothing.
func cutPlain(text []byte) (r Registration, rest []byte, ok bool) {
	end := bytes.Index(text, plainEnd)
	if end < 0 {
		return r, text, false
	}
	if end += len(plainEnd) + len(timeFormat) + len(`"}`); end > len(text) {
		return r, text, false
	}
	if r, ok = readPlain(string(text[:end])); !ok {
		return r, text, false
	}
	return r, text[end:], true
}

var plainEnd = []byte(`,"updated_at":"`)

// plainDepth and plainNames bound the metadata that counts as plain.
const (
	plainDepth = 8
	plainNames = 8
)

// readPlain reads all of text, which the result shares its memory with.
func readPlain(text string) (r Registration, ok bool) {
	p := plainText{rest: text, ok: true}
	p.skip(`{"namespace":`)
	r.Namespace = p.str()
	p.skip(`,"service":`)
	r.Service = p.str()
	p.skip(`,"instance":`)
	r.Instance = p.str()
	p.skip(`,"endpoints":{`)
	r.Endpoints = p.endpoints()
	p.skip(`,"metadata":`)
	object := p.rest
	p.object(1)
	r.Metadata = canonicalEmpty(object[:len(object)-len(p.rest)])
	p.skip(`,"weight":`)
	weight := p.number()
	p.skip(`,"status":`)
	status := p.str()
	p.skip(`,"owner":`)
	r.Owner = p.str()
	if p.try(`,"revision":`) {
		r.Revision = Revision(p.number())
	}
	if p.try(`,"created_revision":`) {
		r.CreatedRevision = Revision(p.number())
	}
	p.skip(`,"created_at":`)
	r.CreatedAt = p.time()
	p.skip(`,"updated_at":`)
	r.UpdatedAt = p.time()
	p.skip(`}`)
	if !p.ok || p.rest != "" || weight > MaxWeight || !utf8.ValidString(text) {
		return Registration{}, false
	}
	r.Weight = uint16(weight)
	var err error
	if r.Status, err = ParseStatus(status); err != nil || r.Key.Validate() != nil {
		return Registration{}, false
	}
	if r.CreatedRevision == 0 {
		r.CreatedRevision = r.Revision
	}
	return r, true
}

// plainText reads plain text from front to back. ok turns false for good where it is not.
type plainText struct {
	rest string
	ok   bool
}

func (p *plainText) fail() { p.rest, p.ok = "", false }

// try skips s if it comes next.
func (p *plainText) try(s string) bool {
	if len(p.rest) < len(s) || p.rest[:len(s)] != s {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

func (p *plainText) skip(s string) {
	if !p.try(s) {
		p.fail()
	}
}

func (p *plainText) str() string {
	s := p.rest
	if s == "" || s[0] != '"' {
		p.fail()
		return ""
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			p.rest = s[i+1:]
			return s[1:i]
		case c == '\\' || c < ' ':
			p.fail()
			return ""
		}
	}
	p.fail()
	return ""
}

// number reads a whole number that fits 63 bits.
func (p *plainText) number() (n uint64) {
	const digits = 18
	i := 0
	for ; i < len(p.rest) && i <= digits && '0' <= p.rest[i] && p.rest[i] <= '9'; i++ {
		n = 10*n + uint64(p.rest[i]-'0')
	}
	if i == 0 || i > digits || p.rest[0] == '0' && i > 1 {
		p.fail()
		return 0
	}
	p.rest = p.rest[i:]
	return n
}

// endpoints reads what is behind the brace of an object of names, in order, and URIs.
func (p *plainText) endpoints() (e Endpoints) {
	if p.try("}") {
		return nil
	}
	for {
		name := p.str()
		p.skip(":")
		uri := p.str()
		if n := len(e); n > 0 && name <= e[n-1].Name {
			p.fail()
		}
		if e == nil {
			e = make(Endpoints, 0, 2)
		}
		e = append(e, Endpoint{Name: name, URI: uri})
		if !p.try(",") {
			p.skip("}")
			return e
		}
	}
}

// object skips an object without a name that occurs twice.
func (p *plainText) object(depth int) {
	p.skip("{")
	if depth > plainDepth {
		p.fail()
	}
	if p.try("}") {
		return
	}
	var names [plainNames]string
	for n := 0; p.ok; n++ {
		name := p.str()
		for _, other := range names[:min(n, plainNames)] {
			if other == name {
				p.fail()
			}
		}
		if n == plainNames {
			p.fail()
			return
		}
		names[n] = name
		p.skip(":")
		p.value(depth)
		if !p.try(",") {
			p.skip("}")
			return
		}
	}
}

// value skips a value in something depth deep.
func (p *plainText) value(depth int) {
	if p.rest == "" {
		p.fail()
		return
	}
	switch p.rest[0] {
	case '"':
		p.str()
	case '{':
		p.object(depth + 1)
	case '[':
		p.array(depth + 1)
	case 't':
		p.skip("true")
	case 'f':
		p.skip("false")
	case 'n':
		p.skip("null")
	default:
		p.numeral()
	}
}

// numeral skips a number.
func (p *plainText) numeral() {
	p.try("-")
	if !p.try("0") {
		p.digits()
	}
	if p.try(".") {
		p.digits()
	}
	if p.try("e") || p.try("E") {
		if !p.try("+") {
			p.try("-")
		}
		p.digits()
	}
}

func (p *plainText) digits() {
	rest := strings.TrimLeft(p.rest, "0123456789")
	if len(rest) == len(p.rest) {
		p.fail()
		return
	}
	p.rest = rest
}

func (p *plainText) array(depth int) {
	p.skip("[")
	if depth > plainDepth {
		p.fail()
	}
	if p.try("]") {
		return
	}
	for p.ok {
		p.value(depth)
		if !p.try(",") {
			p.skip("]")
			return
		}
	}
}

// time reads a time in timeFormat.
func (p *plainText) time() time.Time {
	s := p.str()
	if len(s) != len(timeFormat) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != '.' || s[23] != 'Z' {
		p.fail()
		return time.Time{}
	}
	for i := range len(timeFormat) - 1 {
		if '0' <= timeFormat[i] && timeFormat[i] <= '9' && (s[i] < '0' || s[i] > '9') {
			p.fail()
			return time.Time{}
		}
	}
	two := func(i int) int { return 10*int(s[i]-'0') + int(s[i+1]-'0') }
	year, month, day := 100*two(0)+two(2), time.Month(two(5)), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if hour > 23 || minute > 59 || second > 59 {
		p.fail()
		return time.Time{}
	}
	t := time.Date(year, month, day, hour, minute, second, (10*two(20)+int(s[22]-'0'))*int(time.Millisecond), time.UTC)
	if t.Month() != month || t.Day() != day {
		p.fail() // there is no such day
	}
	return t
}
