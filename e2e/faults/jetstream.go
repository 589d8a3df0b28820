package faults

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// apiReply is what faults need of the replies of JetStream's interface.
type apiReply struct {
	Success bool                   `json:"success"`
	Error   *jetstream.APIError    `json:"error"`
	Cluster *jetstream.ClusterInfo `json:"cluster"`
}

// apiPatience is how long the nodes, one after the other, may take to ask JetStream.
const apiPatience = 4 * time.Second

// jetStream asks JetStream's interface something, and returns its refusal as an error.
func (w *world) jetStream(verb string) (*apiReply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.tb.Context()), apiPatience)
	defer cancel()
	text, err := w.d.JetStream(ctx, "$JS.API."+verb)
	if err != nil {
		return nil, err
	}
	var r apiReply
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Error != nil {
		return nil, r.Error
	}
	return &r, nil
}

// stepDown has another server lead a stream.
func (w *world) stepDown(stream string) {
	if len(w.d.Servers()) == 1 {
		return // it has nobody to hand over to
	}
	if _, err := w.jetStream("STREAM.LEADER.STEPDOWN." + stream); err != nil {
		w.tb.Logf("  no leader of %s steps down: %v", stream, err)
	}
}

// deleteBucket deletes the registry's bucket.
func (w *world) deleteBucket() {
	w.poll("a deletion of the bucket", func() bool {
		_, err := w.jetStream("STREAM.DELETE." + w.stream())
		refusal, ok := err.(*jetstream.APIError) //nolint:errorlint // as jetStream returns it
		return err == nil || ok && refusal.ErrorCode == jetstream.JSErrCodeStreamNotFound
	})
}
