package journal

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Memory is a Log that lasts as long as it is held.
type Memory struct {
	age   time.Duration
	bytes int64

	mu      sync.Mutex
	records []Record
	size    int64
	last    Place
}

var _ Log = (*Memory)(nil)

// NewMemory returns a Log that forgets what is older than age and, beyond so many bytes,
// what is oldest.
func NewMemory(age time.Duration, bytes int64) *Memory { return &Memory{age: age, bytes: bytes} }

// overhead is what a record takes beside its key and value, about.
const overhead = 200

func sizeOf(r *Record) int64 { return int64(len(r.Key) + len(r.Value) + overhead) }

// Last implements [Log].
func (m *Memory) Last(context.Context) (Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, nil
}

// Append implements [Log].
func (m *Memory) Append(_ context.Context, at Place, records []Record) (Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.Sequence != m.last.Sequence {
		return Place{}, ErrConflict
	}
	for _, r := range records {
		r.Sequence = m.last.Sequence + 1
		m.records = append(m.records, r)
		m.size += sizeOf(&r)
		m.last = PlaceOf(&r)
	}
	m.trim()
	return m.last, nil
}

func (m *Memory) trim() {
	drop, oldest := 0, time.Now().Add(-m.age)
	for drop < len(m.records) && (m.size > m.bytes || m.records[drop].Time.Before(oldest)) {
		m.size -= sizeOf(&m.records[drop])
		drop++
	}
	m.records = slices.Delete(m.records, 0, drop)
}

// Read implements [Log].
func (m *Memory) Read(_ context.Context, r Range) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trim()
	var page Page
	if len(m.records) > 0 {
		first := m.records[0]
		page.First = &first
	}
	for i := range m.records {
		one := &m.records[i]
		if one.Sequence <= r.After || one.Kind == Alive || !r.Since.IsZero() && one.Time.Before(r.Since) {
			continue
		}
		if one.Kind == Change && r.Pattern != "" && !kvstore.Matches(r.Pattern, one.Key) {
			continue
		}
		if len(page.Records) == r.Limit {
			page.Next = page.Records[len(page.Records)-1].Sequence
			break
		}
		page.Records = append(page.Records, *one)
	}
	return page, nil
}
