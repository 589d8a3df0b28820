package backend

import (
	"context"
	"encoding/base64"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// The limits of a query.
const (
	MaxFilter = 4096 // bytes of a filter expression
	MaxWhere  = 32   // conditions in where
)

// Query selects registrations. Conditions are joined by "and".
type Query struct {
	Scope

	// Where asks for metadata: path to value, as [Metadata.Has] compares them. It is
	// answered from an index.
	Where map[string]Scalar

	// Filter is a boolean expression over namespace, service, instance, status,
	// weight, endpoints and metadata; "" selects all.
	Filter string

	// Status selects any of these; none selects all.
	Status []Status

	// Limit is the greatest number of entries in a page, at most DefaultListLimit; 0
	// means DefaultListLimit.
	Limit int

	// MaxBytes is the greatest size of a page in bytes of its entries as AppendJSON
	// writes them; 0 means any. One entry is returned even if it is larger.
	MaxBytes int

	// After is Page.Next of the page before; "" begins.
	After string

	// Since, unless nil, asks for what changed after this revision, instead of for all
	// there is: Page.Registrations are those that were added or changed, Page.Removed
	// those that were removed or do not match (any more). The list waits until the
	// revision has been seen, and with Read.Wait until something in scope has changed,
	// whether it matches or not. ErrCompacted where a removal after it may have been
	// forgotten, and where Read.Epoch is not the current one. Only List takes it.
	Since *Revision

	Read
}

// Validate reports what is wrong with q, but for the filter's syntax.
func (q *Query) Validate() error {
	if err := q.Scope.Validate(); err != nil {
		return err
	}
	if len(q.Where) > MaxWhere {
		return Invalid("where", "has %d conditions, at most %d are allowed", len(q.Where), MaxWhere)
	}
	for path, value := range q.Where {
		if path == "" {
			return Invalid("where", "has an empty path")
		}
		if canonical, err := ParseScalar("where."+path, []byte(value)); err != nil {
			return err
		} else if canonical != value {
			return Invalid("where."+path, "%s is not canonical; make it with ScalarOf", value)
		}
	}
	if len(q.Filter) > MaxFilter {
		return &TooLargeError{Field: "filter", Size: int64(len(q.Filter)), Limit: MaxFilter}
	}
	for _, s := range q.Status {
		if s < Up || s > Down {
			return Invalid("status", "%d is none of up, draining, down", s)
		}
	}
	if q.Limit < 0 || q.Limit > DefaultListLimit {
		return Invalid("limit", "must be 1 to %d", DefaultListLimit)
	}
	if q.MaxBytes < 0 {
		return Invalid("max_bytes", "must not be negative")
	}
	if _, err := ParseCursor(q.After); err != nil {
		return err
	}
	if q.Wait != 0 && q.Since == nil {
		return Invalid("wait_ms", "a list waits for changes, and needs since")
	}
	return q.Read.Validate()
}

// Everything reports whether q selects all of its scope.
func (q *Query) Everything() bool {
	return len(q.Where) == 0 && q.Filter == "" && len(q.Status) == 0
}

// MatchesPlain reports whether r matches q's scope, where and status. The filter
// expression is the business of package filter.
func (q *Query) MatchesPlain(r *Registration) bool {
	if !q.Contains(r.Key) {
		return false
	}
	if len(q.Status) > 0 && !slices.Contains(q.Status, max(r.Status, Up)) {
		return false
	}
	for path, value := range q.Where {
		if !r.Metadata.Has(path, value) {
			return false
		}
	}
	return true
}

// Cursor is where a page ends. It travels as an opaque text.
type Cursor struct {
	Revision Revision // of the first page
	Epoch    Epoch
	Key      string // of the last entry; the next page begins behind it
}

// String returns the opaque text, "" for the zero Cursor.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	plain := strconv.FormatUint(uint64(c.Epoch), 10) + " " + strconv.FormatUint(uint64(c.Revision), 10) + " " + c.Key
	return base64.RawURLEncoding.EncodeToString([]byte(plain))
}

// ParseCursor is the inverse of [Cursor.String]; anything else is an [InvalidError].
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	bad := Invalid("after", "is not what a page gave as next")
	plain, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Cursor{}, bad
	}
	parts := strings.SplitN(string(plain), " ", 3)
	if len(parts) != 3 {
		return Cursor{}, bad
	}
	epoch, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil {
		return Cursor{}, bad
	}
	revision, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return Cursor{}, bad
	}
	c := Cursor{Revision: Revision(revision), Epoch: Epoch(epoch), Key: parts[2]}
	if c.String() != s {
		return Cursor{}, bad
	}
	return c, nil
}

// Page is one page of a list.
type Page struct {
	// Registrations are ordered by the bytes of their Key.String. They are shared and
	// must not be changed.
	Registrations []*Registration

	// Removed answers Query.Since, in the order of keys. Limits count them, too.
	Removed []Removed

	// Next goes into Query.After for the page behind this one; "" if this is the last.
	Next string

	rendering atomic.Pointer[[]byte]
}

// Rendering returns what render made of p, and calls it only the first time. Backends
// may return the same Page as long as nothing in it has changed, so a server encodes a
// list once per change and not once per request. Everybody must render alike.
func (p *Page) Rendering(render func(p *Page) []byte) []byte {
	if b := p.rendering.Load(); b != nil {
		return *b
	}
	b := render(p)
	p.rendering.Store(&b)
	return b
}

// All yields everything that q selects, page by page. The last pair carries the error,
// if any: what came before it is then not the whole.
func All(ctx context.Context, b Backend, q Query) iter.Seq2[*Registration, error] {
	return func(yield func(*Registration, error) bool) {
		for {
			page, _, err := b.List(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range page.Registrations {
				if !yield(r, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.After = page.Next
		}
	}
}
