package history

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Breach says that no single object explains the history of one, or that it took too long
// to find out.
type Breach struct {
	Object string
	Result porcupine.CheckResult

	model porcupine.Model
	info  porcupine.LinearizationInfo
	all   []porcupine.Operation
}

// Judge returns the breaches in events, which are all of a history of objects that nobody
// had used before. It gives every object so long.
func Judge(events []Event, patience time.Duration) []Breach {
	objects := map[string][]Event{}
	for _, e := range events {
		objects[e.Deed.Object] = append(objects[e.Deed.Object], e)
	}
	var found []Breach
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		kind, _, _ := strings.Cut(object, ".")
		b := Breach{Object: object, model: models(kind), all: told(objects[object])}
		if few := told(heeded(objects[object])); len(few) < len(b.all) && porcupine.CheckOperationsTimeout(b.model, few, patience/2) == porcupine.Ok {
			continue
		}
		if b.Result, b.info = porcupine.CheckOperationsVerbose(b.model, b.all, patience); b.Result != porcupine.Ok {
			found = append(found, b)
		}
	}
	return found
}

// heeded returns events without what has no known outcome and nobody was ever shown anything
// of. That may not have happened: an explanation of the rest is one of all. It need not be
// one of each order in which so much could have come about unseen, which are too many to try.
func heeded(events []Event) []Event {
	seen := map[string]bool{} // owners, and what they hold
	for _, e := range events {
		if e.Finding.Fate != Done && e.Finding.Fate != Refused {
			continue
		}
		seen[e.Deed.Owner], seen[e.Deed.Owner+"/"+e.Deed.Holder] = true, true
		seen[e.Deed.To], seen[e.Finding.Leader] = true, true
		for _, c := range e.Finding.Candidates {
			seen[c] = true
		}
		for _, h := range e.Finding.Holders {
			seen[h.Owner], seen[h.Owner+"/"+h.Holder] = true, true
		}
	}
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
		switch e.Deed.Verb {
		case Acquire:
			return e.Finding.Fate == Unknown && !seen[e.Deed.Owner+"/"+e.Deed.Holder]
		case Campaign, End:
			return e.Finding.Fate == Unknown && !seen[e.Deed.Owner]
		}
		return false
	})
}

// told returns events as porcupine wants them. What has no known outcome may happen at any
// later time, or not at all: it returns after the history, at whose end it does not happen.
// That also goes for the end of a lease, which does nothing to whoever has nothing.
func told(events []Event) []porcupine.Operation {
	events = slices.SortedStableFunc(slices.Values(events), func(a, b Event) int { return cmp.Compare(a.Call, b.Call) })
	var last time.Duration
	for _, e := range events {
		last = max(last, e.Call, e.Return)
	}
	var all []porcupine.Operation
	add := func(e Event) {
		all = append(all, porcupine.Operation{ClientId: e.Client, Input: e.Deed, Output: e.Finding, Call: int64(e.Call), Return: int64(e.Return)})
	}
	for _, e := range events {
		unknown := e.Finding.Fate == Unknown
		switch {
		case e.Finding.Fate == Undone, unknown && e.Deed.Verb == Read, e.Deed.Verb == Lead && e.Finding.Fate != Done:
			continue // says nothing
		case unknown:
			e.Return = math.MaxInt64
		}
		add(e)
	}
	add(Event{Deed: Deed{Verb: ceases}, Call: last + 1, Return: last + 2})
	return all
}

// object is the state of something: S, by value.
type object[S any] interface {
	*S
	fmt.Stringer
	equal(*S) bool
}

func modelOf[S any, P object[S]](step func(S, Deed, Finding) (S, bool)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { var s S; return s },
		Step: func(before, input, output any) (bool, any) {
			after, ok := step(before.(S), input.(Deed), output.(Finding))
			return ok, after
		},
		Equal: func(a, b any) bool {
			x, y := a.(S), b.(S)
			return P(&x).equal(&y)
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v: %v", input, output) },
		DescribeState: func(s any) string {
			x := s.(S)
			return P(&x).String()
		},
	}
}

func models(kind string) porcupine.Model {
	switch kind {
	case "election":
		return modelOf(elections.step)
	case "counter":
		return modelOf(counter.step)
	}
	return modelOf(holding.step)
}

// Draw writes a page that shows the history and how far it could be explained.
func (b Breach) Draw(w io.Writer) error { return porcupine.Visualize(b.model, b.info, w) }

// String shows the end of the longest explanation, and what could not come next.
func (b Breach) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the history of %s is %s", b.Object, b.Result)
	var longest []porcupine.Operation
	for _, partial := range b.info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	fmt.Fprintf(&text, "\n%d of %d operations can be explained, at last:", len(longest), len(b.all))
	s := b.model.Init()
	explained := map[string]int{}
	for i, op := range longest {
		_, s = b.model.Step(s, op.Input, op.Output)
		explained[b.line(op)]++
		if i >= len(longest)-around {
			fmt.Fprintf(&text, "\n  %s  → %s", b.line(op), b.model.DescribeState(s))
		}
	}
	text.WriteString("\nand none of these can be next:")
	shown := 0
	for _, op := range b.all {
		if explained[b.line(op)]--; explained[b.line(op)] < 0 && shown < around {
			shown++
			fmt.Fprintf(&text, "\n  %s", b.line(op))
		}
	}
	return text.String()
}

func (b Breach) line(op porcupine.Operation) string {
	return fmt.Sprintf("%v–%v client %d: %s", time.Duration(op.Call).Round(time.Microsecond),
		time.Duration(op.Return).Round(time.Microsecond), op.ClientId, b.model.DescribeOperation(op.Input, op.Output))
}
