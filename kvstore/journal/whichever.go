package journal

import "context"

// Whichever returns a Log that is, at each call, the one that current returns. A [Recorder]
// notices when that is another one.
func Whichever(current func() Log) Log { return whichever(current) }

type whichever func() Log

// Last implements [Log].
func (w whichever) Last(ctx context.Context) (Place, error) { return w().Last(ctx) }

// Append implements [Log].
func (w whichever) Append(ctx context.Context, at Place, records []Record) (Place, error) {
	return w().Append(ctx, at, records)
}

// Read implements [Log].
func (w whichever) Read(ctx context.Context, r Range) (Page, error) { return w().Read(ctx, r) }
