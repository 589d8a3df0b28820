package client

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
)

// encode is json.Marshal without its escaping of <, > and &, which reaches into
// metadata and would change it.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if string(text) == "{}" {
		return nil, nil
	}
	return text, nil
}

// decode reads the body of a successful reply. Members it does not know are ignored.
func decode(reply *nats.Msg, into any) error {
	if err := json.Unmarshal(reply.Data, into); err != nil {
		return fmt.Errorf("decode reply on %s: %w", reply.Subject, err)
	}
	return nil
}
