package nats

import (
	"log/slog"
	"strings"
	"testing"
)

func TestWhyANodeIsNotLetInIsSaidOnceAndPlainly(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	l := newLogger(slog.New(slog.NewTextHandler(&said, nil)))
	if got := l.refusal(); got != "" {
		t.Errorf("refusal() of nothing = %q", got)
	}
	l.Errorf("%s - Something else", "127.0.0.1:1 - rid:1")
	for range 3 {
		l.Errorf("%s - Route Error %s", "127.0.0.1:1 - rid:1", "'Authorization Violation'")
	}
	if got := l.refusal(); !strings.Contains(got, "--cluster-secret-file") {
		t.Errorf("refusal() = %q; want word of the secret", got)
	}
	l.Errorf("%s - TLS route handshake error: %v", "127.0.0.1:1 - rid:1", "tls: bad certificate")
	if got := l.refusal(); !strings.Contains(got, "--cluster-tls-ca") || !strings.Contains(got, "bad certificate") {
		t.Errorf("refusal() = %q; want word of the certificates", got)
	}
	if got := strings.Count(said.String(), "another node is not connected"); got != 2 {
		t.Errorf("it was said %d times; want once for each reason:\n%s", got, said.String())
	}
}
