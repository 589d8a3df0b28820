package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// healthOfAll shows every node that answers, and those that others speak of.
func (p *program) healthOfAll(cmd *cobra.Command, c *connection) error {
	return p.with(cmd, c, func(ctx context.Context, session *session) error {
		reports, err := session.Reports(ctx)
		if err != nil {
			return err
		}
		if err := session.show(func(w io.Writer) error { return writeHealthOfAll(w, reports) }); err != nil {
			return err
		}
		worst := backend.Healthy
		for _, h := range reports {
			worst = max(worst, h.Status)
		}
		if len(silentPeers(reports)) > 0 {
			worst = max(worst, backend.Degraded)
		}
		return exitOf(worst)
	})
}

// silentPeers returns the nodes that others speak of and that say nothing, and whether each
// is known to be away.
func silentPeers(reports []*bus.HealthReply) map[string]bool {
	silent := map[string]bool{}
	for _, h := range reports {
		if h.Cluster == nil {
			continue
		}
		for _, peer := range h.Cluster.Peers {
			if !slices.ContainsFunc(reports, func(of *bus.HealthReply) bool { return of.Node == peer.Name }) {
				silent[peer.Name] = silent[peer.Name] || peer.Offline
			}
		}
	}
	return silent
}

func writeHealthOfAll(w io.Writer, reports []*bus.HealthReply) error {
	nodes := table{headings: []string{"NODE", "STATUS", "PART", "BACKEND", "REVISION", "AGE MS", "COPY", "VERSION"}, flexible: []int{0, 2, 7}}
	for _, h := range reports {
		nodes.add(h.Node, h.Status.String(), shownPart(h, reports), h.Backend+", "+h.State, decimal(h.Revision), decimal(h.AgeMs), shownCopy(h, reports), h.Version)
	}
	silent := silentPeers(reports)
	for _, name := range sortedKeys(silent) {
		state := "silent"
		if silent[name] {
			state = "offline"
		}
		nodes.add(name, state, "", "", "", "", "", "")
	}
	if err := nodes.write(w, terminalWidth(w)); err != nil {
		return err
	}
	for _, h := range reports {
		for kind, texts := range map[string][]string{"problem": h.Problems, "note": h.Notes} {
			for _, text := range texts {
				if _, err := fmt.Fprintf(w, "%s: %s: %s\n", h.Node, kind, text); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// shownPart says what a node does besides answering: as the keeper, which it says itself,
// and by the streams that the NATS inside it leads.
func shownPart(h *bus.HealthReply, reports []*bus.HealthReply) string {
	var parts []string
	if h.Suspects != nil {
		parts = append(parts, "keeper")
	}
	if h.Cluster != nil && h.Cluster.Embedded {
		for _, s := range newestStreams(reports) {
			if s.Leader == h.Cluster.Server {
				parts = append(parts, "leads "+s.Name)
			}
		}
	}
	return strings.Join(parts, ", ")
}

// shownCopy says how much the NATS inside a node has of the registry.
func shownCopy(h *bus.HealthReply, reports []*bus.HealthReply) string {
	if h.Cluster == nil || !h.Cluster.Embedded {
		return ""
	}
	has, lag, current := false, uint64(0), true
	for _, s := range newestStreams(reports) {
		has = has || s.Leader == h.Cluster.Server
		for _, o := range s.Others {
			if o.Name == h.Cluster.Server {
				has, lag, current = true, max(lag, o.Lag), current && o.Current
			}
		}
	}
	switch {
	case !has:
		return "none"
	case !current:
		return fmt.Sprintf("%d behind", lag)
	}
	return "current"
}

// newestStreams returns what is known of the streams by who has last heard of the store.
func newestStreams(reports []*bus.HealthReply) []bus.Stream {
	var newest *bus.HealthReply
	for _, h := range reports {
		if h.Cluster != nil && (newest == nil || h.AgeMs < newest.AgeMs) {
			newest = h
		}
	}
	if newest == nil {
		return nil
	}
	return newest.Cluster.Streams
}

// shownCluster returns the lines of where a registry is kept.
func shownCluster(c *bus.Cluster) (lines [][2]string) {
	if c == nil || c.Name == "" {
		return nil
	}
	lines = append(lines, [2]string{"cluster", fmt.Sprintf("%s, here %s", c.Name, c.Server)})
	for _, s := range c.Streams {
		text := fmt.Sprintf("%d copies, led by %s", s.Replicas, cmp.Or(s.Leader, "nobody"))
		for _, o := range s.Others {
			text += ", " + o.Name + " " + shownPeer(o)
		}
		lines = append(lines, [2]string{s.Name, text})
	}
	for _, peer := range c.Peers {
		lines = append(lines, [2]string{"peer", peer.Name + " " + shownPeer(peer)})
	}
	return lines
}

func shownPeer(p bus.Peer) string {
	switch {
	case p.Offline:
		return "offline"
	case !p.Current:
		return fmt.Sprintf("%d behind", p.Lag)
	}
	return "current"
}
