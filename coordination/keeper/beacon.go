package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Beacon is what the keeper tells all followers once a second.
type Beacon struct {
	// Revision is how far the keeper's own feed has come.
	Revision uint64
	Epoch    uint32
	// Feed differs from the one before whenever changes may have been published in
	// between that did not reach everybody. It has no order.
	Feed   string
	Keeper Holder
}

// Announcer sends beacons, on the connection that alone may.
type Announcer interface {
	// Source identifies what publishes the changes of the store at this moment. It is
	// another one whenever changes may have been lost since it was last asked: another
	// server publishes, or the same one began anew.
	Source(ctx context.Context) (string, error)

	// Announce publishes b, without waiting for anybody.
	Announce(b Beacon) error
}

// Epochs says the epoch of what the feed shows, and whether there is one.
type Epochs interface {
	Current() (epoch uint32, ok bool)
}

// interval is the time between two beacons.
const interval = time.Second

// announce sends beacons while the node is entitled, until ctx is done.
func (k *Keeper) announce(ctx context.Context) {
	if k.announcer == nil {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	feed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.begun:
			ticker.Reset(interval)
		case <-ticker.C:
		}
		if err := k.beacon(ctx, &feed); err != nil && ctx.Err() == nil {
			k.log.LogAttrs(ctx, slog.LevelDebug, "no beacon", slog.Any("err", err))
		}
	}
}

// beacon sends one if the node is entitled. feed is what the one before said.
func (k *Keeper) beacon(ctx context.Context, feed *string) error {
	tenure, ok := k.Tenure()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	now, err := k.feed(ctx, tenure.Term)
	if err != nil {
		return err
	}
	if now != *feed {
		// What may have been lost is in the store by now. With the revision of the
		// beacon whoever asks any node for the changes since gets all of it.
		if err := k.tail.Barrier(ctx); err != nil {
			return err
		}
	}
	epoch, ok := k.epochs.Current()
	if !ok {
		return nil
	}
	b := Beacon{Revision: k.tail.Revision(), Epoch: epoch, Feed: now, Keeper: Holder{Node: k.self.Node, Term: tenure.Term}}
	// Asked last: revision and epoch are those of this tenure's store if it still lasts.
	if last, ok := k.Tenure(); !ok || last.Term != tenure.Term {
		return nil
	}
	if err := k.announcer.Announce(b); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	*feed = now
	return nil
}

// feed names the way that changes take to their followers at this moment. Changes can be
// lost where they are published: then it is another server that publishes, or one that
// began anew, which the Announcer's source shows, or, where a server is restarted that
// keeps the only copy, the loss of this node's own consumer, which lived there. What
// happened while nobody watched, the term covers; and the life of the store all the rest.
func (k *Keeper) feed(ctx context.Context, term uint64) (string, error) {
	k.mu.Lock()
	generation, interruptions := k.sight.generation, k.interruptions
	k.mu.Unlock()
	source, err := k.announcer.Source(ctx)
	if err != nil {
		return "", fmt.Errorf("ask what publishes: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%d\x00%s", k.instance, term, generation, interruptions, source))
	return strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10])), nil
}
