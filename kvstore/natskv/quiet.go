package natskv

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// quietMark is in the metadata of a bucket that does not republish although it is one of
// those that do: it is being filled, or was left.
const quietMark = "roost-quiet"

func quiet(c *jetstream.StreamConfig) bool { return c.Metadata[quietMark] != "" }

// Publish has the changes of an existing bucket republished, as c says, or not any more. It
// is for a bucket that is filled or was left; whoever has it open goes on.
func Publish(ctx context.Context, nc *nats.Conn, c Config, on bool) error {
	js, err := interfaceOf(nc, c.Domain)
	if err != nil {
		return fmt.Errorf("natskv: %w", err)
	}
	stream, err := js.Stream(ctx, c.stream())
	if err != nil {
		return fmt.Errorf("natskv: look at bucket %s: %w", c.Bucket, err)
	}
	c.Quiet = !on
	want := c.streamConfig()
	changed := stream.CachedInfo().Config
	changed.RePublish = want.RePublish
	changed.Metadata = maps.Clone(changed.Metadata)
	delete(changed.Metadata, quietMark)
	if !on {
		if changed.Metadata == nil {
			changed.Metadata = map[string]string{}
		}
		changed.Metadata[quietMark] = "true"
	}
	if _, err := js.UpdateStream(ctx, changed); err != nil {
		return fmt.Errorf("natskv: update bucket %s: %w", c.Bucket, err)
	}
	return nil
}

// Exists reports whether there is the bucket that c names.
func Exists(ctx context.Context, nc *nats.Conn, c Config) (bool, error) {
	js, err := interfaceOf(nc, c.Domain)
	if err != nil {
		return false, fmt.Errorf("natskv: %w", err)
	}
	_, err = js.Stream(ctx, c.stream())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("natskv: look at bucket %s: %w", c.Bucket, err)
	}
	return true, nil
}

// Delete deletes the bucket that c names and the counters beside it, as far as they exist.
func Delete(ctx context.Context, nc *nats.Conn, c Config) error {
	js, err := interfaceOf(nc, c.Domain)
	if err != nil {
		return fmt.Errorf("natskv: %w", err)
	}
	for _, name := range []string{c.stream(), CountersOf(c.Bucket)} {
		if err := js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("natskv: delete %s: %w", name, err)
		}
	}
	return nil
}
