package natskv

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
)

// part returns a part of an answer: one message, or the last part with a status.
func part(headers ...string) *nats.Msg {
	m := &nats.Msg{Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		m.Header[headers[i]] = []string{headers[i+1]}
	}
	return m
}

func entry(sequence, before string) *nats.Msg {
	return part(headerSequence, sequence, headerLast, before, headerPending, "9")
}

func end(last, pending, upTo string) *nats.Msg {
	return part(headerStatus, "204", headerLast, last, headerPending, pending, headerUpTo, upTo)
}

// TestAnAnswerIsWholeOrAnError shows R6 where messages get lost on their way.
func TestAnAnswerIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parts []*nats.Msg
		want  error
	}{
		"whole":                   {[]*nats.Msg{entry("3", "0"), entry("7", "3"), end("7", "0", "9")}, nil},
		"the first is missing":    {[]*nats.Msg{entry("7", "3"), end("7", "0", "9")}, errTorn},
		"one is missing":          {[]*nats.Msg{entry("3", "0"), entry("9", "7"), end("9", "0", "9")}, errTorn},
		"the last is missing":     {[]*nats.Msg{entry("3", "0"), end("7", "0", "9")}, errTorn},
		"all are missing":         {[]*nats.Msg{end("7", "0", "9")}, errTorn},
		"the end says nothing":    {[]*nats.Msg{entry("3", "0"), part(headerStatus, "204")}, errTorn},
		"it goes not so far":      {[]*nats.Msg{entry("3", "0"), end("3", "0", "2")}, errTorn},
		"it was cut off":          {[]*nats.Msg{entry("3", "0"), end("3", "4", "9")}, errMany},
		"too many":                {[]*nats.Msg{part(headerStatus, "413")}, errMany},
		"nothing":                 {[]*nats.Msg{part(headerStatus, "404", headerDescription, "No Results")}, errNothing},
		"a message fails to load": {[]*nats.Msg{part(headerStatus, "404", headerDescription, "Message Not Found")}, errTorn},
		"it breaks off":           {[]*nats.Msg{entry("3", "0"), part(headerStatus, "404", headerDescription, "No Results")}, errTorn},
		"nobody is there":         {[]*nats.Msg{part(headerStatus, "503")}, nats.ErrNoResponders},
	} {
		var a answer
		for i, m := range c.parts {
			last := a.take(m)
			if last != (a.err != nil || i == len(c.parts)-1) {
				t.Errorf("%s: part %d is the last: %t", name, i, last)
			}
			if last {
				break
			}
		}
		if !errors.Is(a.err, c.want) {
			t.Errorf("%s: %v; want %v", name, a.err, c.want)
		}
	}
	var odd answer
	if !odd.take(part(headerStatus, "408", headerDescription, "Bad Request")) || odd.err == nil {
		t.Error("a status that is not known is no error")
	}
}

func TestSubjectsThatAreAskedForDoNotOverlap(t *testing.T) {
	t.Parallel()
	s := &Store{config: Config{Bucket: "b"}}
	for _, c := range []struct{ patterns, want []string }{
		{[]string{"epoch", "event.a.b.*"}, []string{"$KV.b.epoch", "$KV.b.event.a.b.*"}},
		{[]string{"epoch", "epoch", "event.a.b.*", "event.a.b.c"}, []string{"$KV.b.epoch", "$KV.b.event.a.b.*"}},
		{[]string{"event.a.b.c", "event.a.*.c", "event.>"}, []string{"$KV.b.event.>"}},
		{[]string{"event.*.b", "event.a.*"}, []string{"$KV.b.>"}},
		{[]string{"event.*.>", "event.a"}, []string{"$KV.b.event.*.>", "$KV.b.event.a"}},
		{[]string{"*.a", "b.>"}, []string{"$KV.b.>"}},
		{[]string{">", "a"}, []string{"$KV.b.>"}},
	} {
		if got := s.subjects(slices.Clone(c.patterns)); !slices.Equal(got, c.want) {
			t.Errorf("subjects(%q) = %q; want %q", c.patterns, got, c.want)
		}
	}
}
