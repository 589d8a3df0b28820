package server

import (
	"bytes"

	"github.com/roostbus/roost/bus"
)

// scan reads a well-formed keepalive. It reports false for whatever else, of which the
// strict decoder then says what is wrong with it, if anything is.
//
// Keepalives are the one kind of request that comes all the time, and this is a tenth of
// what the decoder takes.
func (k *keepalive) scan(body []byte) bool {
	s := scanner{text: body}
	k.reset()
	told := false
	ok := s.object(func(name []byte) bool {
		switch string(name) {
		case "lease":
			return len(k.owners) == 0 && k.secret(&s)
		case "leases":
			if k.many || len(k.owners) > 0 {
				return false
			}
			k.many = true
			return s.array(func() bool { return len(k.owners) < bus.MaxKeepalive && k.secret(&s) })
		case "connection":
			again := told
			told = true
			return !again && k.whereabouts(&s)
		}
		return false
	})
	return ok && s.over() && len(k.owners) > 0
}

// secret reads one, and keeps its owner.
func (k *keepalive) secret(s *scanner) bool {
	secret, ok := s.word()
	if ok = ok && plainSecret(secret); ok {
		k.add(secret)
	}
	return ok
}

// whereabouts reads a connection.
func (k *keepalive) whereabouts(s *scanner) bool {
	var server, client bool
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "server_id":
			id, ok := s.word()
			again := server
			server = true
			if string(id) != k.server {
				k.server = string(id)
			}
			k.connection.Server = k.server
			return ok && !again && plainName(id)
		case "client_id":
			id, ok := s.number()
			again := client
			client = true
			k.connection.Client = id
			return ok && !again && id > 0
		}
		return false
	}) && server && client
}

// plain reports whether c stands for itself in a token.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

func plainSecret(word []byte) bool {
	if len(word) < bus.MinSecret || len(word) > bus.MaxSecret {
		return false
	}
	for _, c := range word {
		if !plain(c) {
			return false
		}
	}
	return true
}

// maxServerID is the length of the longest server id that is read here; NATS's have 56.
const maxServerID = 64

func plainName(word []byte) bool {
	return len(word) > 0 && len(word) <= maxServerID && word[0] != '_' && len(bytes.TrimFunc(word, func(r rune) bool {
		return r < 0x80 && plain(byte(r))
	})) == 0
}

// scanner reads the JSON that programs write: without escapes and other than ASCII.
type scanner struct {
	text []byte
	at   int
}

// peek returns the next byte that is no space, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// next goes behind c if that is next.
func (s *scanner) next(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// over reports whether nothing is left.
func (s *scanner) over() bool { return s.peek() == 0 && s.at == len(s.text) }

// object reads one whose members read reads.
func (s *scanner) object(read func(name []byte) bool) bool {
	if !s.next('{') {
		return false
	}
	for {
		name, ok := s.word()
		if !ok || !s.next(':') || !read(name) {
			return false
		}
		if !s.next(',') {
			return s.next('}')
		}
	}
}

// array reads one whose elements read reads. An empty one is left to others.
func (s *scanner) array(read func() bool) bool {
	if !s.next('[') {
		return false
	}
	for {
		if !read() {
			return false
		}
		if !s.next(',') {
			return s.next(']')
		}
	}
}

// word reads a text.
func (s *scanner) word() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	from := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1], true
		case c < ' ' || c == '\\' || c >= 0x7f:
			return nil, false
		}
	}
	return nil, false
}

// number reads a whole number below 10^15.
func (s *scanner) number() (uint64, bool) {
	s.peek()
	from := s.at
	var n uint64
	for ; s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9'; s.at++ {
		n = n*10 + uint64(s.text[s.at]-'0')
		if s.at-from == 15 {
			return 0, false
		}
	}
	return n, s.at > from && (s.text[from] != '0' || s.at == from+1)
}
