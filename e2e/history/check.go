package history

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Violation says that the history of one key is not linearizable, or that it took too long
// to find out.
type Violation struct {
	Key    string
	Result porcupine.CheckResult

	info porcupine.LinearizationInfo
	all  []porcupine.Operation // by call
}

// Check returns the violations in records, which are all of a history from empty keys on.
// It gives every key so long.
func Check(records []Record, patience time.Duration) []Violation {
	keys := map[string][]Record{}
	for _, r := range records {
		keys[r.Ask.Key] = append(keys[r.Ask.Key], r)
	}
	var found []Violation
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		all := operations(keys[key])
		result, info := porcupine.CheckOperationsVerbose(model(), all, patience)
		if result != porcupine.Ok {
			found = append(found, Violation{key, result, info, all})
		}
	}
	return found
}

// operations returns the records of a key as porcupine wants them. A write of unknown
// outcome may happen at any later time: it returns after the end, and does not happen
// where it is put there. If its content was ever read, it did happen, before that.
//
// That leaves out no history, and spares the search the greatest part of its choices.
func operations(records []Record) []porcupine.Operation {
	records = slices.SortedFunc(slices.Values(records), func(a, b Record) int { return cmp.Compare(a.Call, b.Call) })
	var last time.Duration
	read := map[string]time.Duration{} // when each content was first read, and that was answered
	for _, r := range records {
		last = max(last, r.Call, r.Return)
		if r.Ask.Kind == Lookup && r.Answer.Fate == Done {
			if at, ok := read[r.Answer.Content]; !ok || r.Return < at {
				read[r.Answer.Content] = r.Return
			}
		}
	}
	never := last + 3
	made := map[string]bool{}
	var all []porcupine.Operation
	for _, r := range records {
		if r.Answer.Fate == Unknown {
			r.Return = never
			if at, ok := read[r.Ask.Content]; ok && !made[r.Ask.Content] && at > r.Call {
				r.Return = at
			}
		}
		if r.Ask.Kind == Lookup && r.Answer.Fate == Undone {
			continue // says nothing
		}
		made[r.Ask.Content] = true
		all = append(all, operation(r))
	}
	return append(all, operation(Record{Ask: Ask{Kind: end}, Call: last + 1, Return: last + 2}))
}

func operation(r Record) porcupine.Operation {
	return porcupine.Operation{ClientId: r.Client, Input: r.Ask, Output: r.Answer, Call: int64(r.Call), Return: int64(r.Return)}
}

// Draw writes a page that shows the history and how far it could be explained.
func (v Violation) Draw(w io.Writer) error { return porcupine.Visualize(model(), v.info, w) }

// around is how many operations String shows of each sort.
const around = 8

// String shows the end of the longest explanation, and what could not come next.
func (v Violation) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the history of %s is %s", v.Key, v.Result)
	var longest []porcupine.Operation
	for _, partial := range v.info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	fmt.Fprintf(&text, "\n%d operations can be explained, at last:", len(longest))
	var s state
	explained := map[porcupine.Operation]bool{}
	for i, op := range longest {
		s, _ = step(s, op.Input.(Ask), op.Output.(Answer))
		explained[op] = true
		if i >= len(longest)-around {
			fmt.Fprintf(&text, "\n  %s  → %v", line(op), s)
		}
	}
	text.WriteString("\nand none of these can be next:")
	shown := 0
	for _, op := range v.all {
		if !explained[op] && shown < around {
			shown++
			fmt.Fprintf(&text, "\n  %s", line(op))
		}
	}
	return text.String()
}

func line(op porcupine.Operation) string {
	return fmt.Sprintf("%v–%v client %d: %v: %v", time.Duration(op.Call).Round(time.Microsecond),
		time.Duration(op.Return).Round(time.Microsecond), op.ClientId, op.Input, op.Output)
}
