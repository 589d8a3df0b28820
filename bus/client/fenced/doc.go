// Package fenced writes to a JetStream key-value bucket as the leader that holds a token,
// and refuses to once a later leader has begun to: of a leader that was stopped or cut off,
// and does not know that it leads no more, nothing arrives.
//
//	l, err := election.Campaign(ctx, lease, client.CampaignOptions{})
//	bucket, err := fenced.Open(ctx, js, "plans", l.Token())
//	revision, err := bucket.Put(ctx, "today", plan) // fenced.ErrFenced: another leads
//
// # Guarantees
//
//   - Once [Open] has returned for a token, no write of an earlier token is stored, in
//     whatever process it began and however late it arrives: NATS itself refuses it. So
//     open the bucket first, and read what the leader before left behind afterwards.
//   - A write is either stored as of a leader whose token was the latest that had opened the
//     bucket, or not stored.
//
// # Not guaranteed
//
//   - Anything about who writes to the bucket by other means, or removes the key [Key].
//   - That a write which failed with something other than [ErrFenced] was not stored.
//   - That a reader sees the newest value: that is the bucket's own business.
//
// The bucket must keep its keys for ever, be none that mirrors another, and be in the
// JetStream domain of the connection. It needs a NATS server of version 2.12 or later.
// Each write waits for the one before it.
package fenced
