package natskv

import (
	"testing"
	"time"
)

func TestAStreamSaysWhatIsWrongWithItsReplicas(t *testing.T) {
	t.Parallel()
	there, away := Replica{Server: "b", Current: true}, Replica{Server: "c", Offline: true}
	behind, busy := Replica{Server: "c", Lag: 5000}, Replica{Server: "c", Lag: 3}
	mute := Replica{Server: "c", Heard: 3 * time.Second}
	for want, s := range map[string]Replicas{
		"": {Count: 3, Cluster: "k", Leader: "a", Others: []Replica{there, busy}},
		"no server leads S, so nothing is written":                                           {Count: 3, Cluster: "k"},
		"S is kept by 1 of 3 servers that are wanted: the loss of one can lose it":           {Count: 1, Cluster: "k", Leader: "a"},
		"of 3 servers that keep S these are away: c":                                         {Count: 3, Cluster: "k", Leader: "a", Others: []Replica{there, away}},
		"of 3 servers that keep S these are yet to have all of it: c (5000 messages behind)": {Count: 3, Cluster: "k", Leader: "a", Others: []Replica{there, behind}},
		"2 of 3 servers that are to keep S are yet to be told":                               {Count: 3, Cluster: "k", Leader: "a", Others: []Replica{}},
	} {
		s.Stream = "S"
		if got := s.Problem(3); got != want {
			t.Errorf("%+v: %q; want %q", s, got, want)
		}
	}
	s := Replicas{Stream: "S", Count: 3, Cluster: "k", Leader: "a", Others: []Replica{there, mute}}
	if s.Problem(3) == "" {
		t.Error("a server that is mute is no problem")
	}
	alone := Replicas{Stream: "S", Count: 1}
	if got := alone.Problem(3); got != "" {
		t.Errorf("a server alone: %q; want nothing", got)
	}
}
