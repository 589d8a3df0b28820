package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

const secret = "pTqkZ4mB7sUe1Xh0aWc9Rg"

// usual are keepalives as programs write them.
func usual(tb testing.TB) [][]byte {
	tb.Helper()
	return [][]byte{
		goldenRequest(tb, "lease_keepalive"), goldenRequest(tb, "lease_keepalives"),
		[]byte(`{"lease":"` + secret + `"}`), []byte(`{"lease": "` + secret + `"}`),
		[]byte(`{"connection":{"client_id":7,"server_id":"N"},"leases":["` + secret + `"]}`),
		[]byte(`{"leases":["` + strings.Repeat(secret+`","`, bus.MaxKeepalive-1) + secret + `"]}`),
	}
}

func TestTheUsualKeepalivesAreReadWithoutTheDecoder(t *testing.T) {
	t.Parallel()
	for _, body := range usual(t) {
		sameAsDecoded(t, body)
		if _, _, _, ok := server.ScanKeepalive(body); !ok {
			t.Errorf("%.80s is left to the decoder", body)
		}
	}
}

// unusual are keepalives that must be left to the decoder, most because they are invalid.
var unusual = []string{
	"", "{}", `{"lease":""}`, `{"lease":"short"}`, `{"lease":"` + secret + `"} x`, `{"lease":"` + secret + `",}`,
	`{"lease":"` + secret + `","lease":"` + secret + `"}`, `{"lease":"` + secret + `","leases":["` + secret + `"]}`,
	`{"leases":["` + secret + `"],"lease":"` + secret + `"}`, `{"leases":["` + secret + `"],"leases":["` + secret + `"]}`,
	`{"leases":[]}`, `{"leases":[],"leases":["` + secret + `"]}`, `{"leases":["` + secret + `",]}`,
	`{"leases":["` + strings.Repeat(secret+`","`, bus.MaxKeepalive) + secret + `"]}`,
	`{"l\u0065ase":"` + secret + `"}`, `{"lease":"` + secret[:21] + `\u0041"}`, `{"lease":"` + secret + `","x":1}`,
	`{"lease":"` + secret + `","connection":{}}`, `{"lease":"` + secret + `","connection":{"server_id":"N"}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"N","client_id":0}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"N","client_id":01}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"N","client_id":1e3}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"N","client_id":-1}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"N","client_id":9007199254740992}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"_N","client_id":1}}`,
	`{"lease":"` + secret + `","connection":{"server_id":"N","server_id":"M","client_id":1}}`,
	`{"lease":"` + secret + `","connection":null}`, `[]`, `{`, "{\"lease\":\"" + secret + "\"}\x00", "{\"lease\":\"" + secret + "é\"}",
}

func TestWhatIsNoUsualKeepaliveIsLeftToTheDecoder(t *testing.T) {
	t.Parallel()
	for _, body := range unusual {
		if owners, _, _, ok := server.ScanKeepalive([]byte(body)); ok {
			t.Errorf("%.200s is read as a keepalive of %v", body, owners)
		}
	}
}

// sameAsDecoded checks that what the scanner reads is valid and read alike by the decoder.
func sameAsDecoded(t *testing.T, body []byte) {
	t.Helper()
	owners, many, connection, ok := server.ScanKeepalive(body)
	if !ok {
		return
	}
	var q bus.KeepaliveRequest
	if err := server.Decode(body, &q); err != nil {
		t.Fatalf("%q is refused by the decoder: %v", body, err)
	}
	if err := q.Validate(); err != nil {
		t.Fatalf("%q is invalid: %v", body, err)
	}
	secrets := q.Leases
	if q.Lease != "" {
		secrets = []string{q.Lease}
	}
	var want []string
	for _, s := range secrets {
		want = append(want, bus.Owner(s))
	}
	var from clock.Connection
	if q.Connection != nil {
		from = clock.Connection{Server: q.Connection.ServerID, Client: q.Connection.ClientID}
	}
	if !slices.Equal(owners, want) || many != (q.Leases != nil) || connection != from {
		t.Errorf("%q: %v, many %t, from %v; want %v, %t, %v", body, owners, many, connection, want, q.Leases != nil, from)
	}
}

func FuzzKeepaliveRequest(f *testing.F) {
	for _, body := range usual(f) {
		f.Add(body)
	}
	for _, body := range unusual {
		f.Add([]byte(body))
	}
	f.Fuzz(sameAsDecoded)
}

func FuzzKeepalivesRequestIsDecodedAsEncodingJSONDoes(f *testing.F) { fuzz(f, "lease_keepalives") }

func TestReadingKeepalivesMakesNoGarbage(t *testing.T) {
	connection := `,"connection":{"server_id":"NDYUQ","client_id":7}}`
	for _, body := range []string{
		`{"lease":"` + secret + `"` + connection,
		`{"leases":["` + strings.Repeat(secret+`","`, 99) + secret + `"]` + connection,
	} {
		var k server.Keepalive
		text := []byte(body)
		if !k.Scan(text) {
			t.Fatalf("%.60s is left to the decoder", body)
		}
		if n := testing.AllocsPerRun(100, func() { k.Scan(text) }); n > 0 {
			t.Errorf("%v allocations for %.60s", n, body)
		}
	}
}

func BenchmarkScanKeepalive(b *testing.B) {
	for _, n := range []int{1, 100} {
		body := []byte(`{"leases":["` + strings.Repeat(secret+`","`, n-1) + secret + `"]}`)
		b.Run(fmt.Sprintf("leases-%d", n), func(b *testing.B) {
			var k server.Keepalive
			b.ReportAllocs()
			for b.Loop() {
				k.Scan(body)
			}
		})
	}
}
