package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// badLink connects to a NATS server and loses events and announcements on the way, by
// chance.
type badLink struct {
	to      *natstest.Server
	percent atomic.Int64 // of them that are lost
	lost    atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

// InProcessConn implements nats.InProcessConnProvider.
func (l *badLink) InProcessConn() (net.Conn, error) {
	conn, err := l.to.InProcessConn()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
	return &badConn{Conn: conn, link: l, in: bufio.NewReader(conn)}, nil
}

// cut closes every connection.
func (l *badLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

// badConn reads what the server sends a message at a time.
type badConn struct {
	net.Conn

	link *badLink
	in   *bufio.Reader
	rest []byte
}

func (c *badConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		line, err := c.in.ReadBytes('\n')
		if err != nil {
			return 0, err
		}
		c.rest = line
		if !bytes.HasPrefix(line, []byte("MSG ")) && !bytes.HasPrefix(line, []byte("HMSG ")) {
			continue
		}
		words := strings.Fields(string(line))
		size, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			return 0, fmt.Errorf("%q: %w", line, err)
		}
		body := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(c.in, body); err != nil {
			return 0, err
		}
		c.rest = append(line, body...)
		published := strings.Contains(words[1], ".event.") || strings.Contains(words[1], ".announce.")
		if published && rand.Int64N(100) < c.link.percent.Load() {
			c.link.lost.Add(1)
			c.rest = nil
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// badlyLinked returns a client behind a bad link.
func badlyLinked(tb testing.TB, srv *natstest.Server, prefix string, opts ...client.Option) (*client.Client, *badLink) {
	tb.Helper()
	l := &badLink{to: srv}
	c, err := client.Connect(tb.Context(), "", append([]client.Option{
		client.WithPrefix(prefix),
		client.WithNATS(nats.InProcessServer(l), nats.ReconnectWait(0), nats.ReconnectJitter(0, 0)),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c, l
}
