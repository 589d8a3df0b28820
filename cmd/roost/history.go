package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

type historySettings struct {
	connection    `koanf:",squash"`
	Namespace     string `koanf:"namespace"`
	AllNamespaces bool   `koanf:"all_namespaces"`
	Object        string `koanf:"object"`
	Since         string `koanf:"since"`
}

func newHistory(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history [SERVICE]",
		Short: "Show what has happened",
		Long: "Shows the changes of registrations, the oldest first, as far back as the registry keeps them\n" +
			"(--history-age and --history-bytes of roost serve). With --object it shows those of objects of\n" +
			"coordination, SERVICE being the name of one, or with \"all\" everything. It needs an operator's\n" +
			"permissions.\n\n" +
			"A state that was replaced before any node's feed had come to it was never seen and is not there.\n" +
			"Where changes may be missing because no node followed, a line says between which revisions.",
		Example: "  roost history payments --since 2h\n" +
			"  roost history --all-namespaces --since 2026-11-21T03:00:00Z --json\n" +
			"  roost history nightly --object lock",
		Args: arguments(0, 1, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s historySettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.history(cmd, argument(args), &s)
		},
	}
	connectionFlags(cmd)
	scopeFlags(cmd)
	fs := cmd.Flags()
	fs.String("object", "", "election|lock|semaphore|barrier|proposal, or all with --all-namespaces")
	fs.String("since", "", "`TIME` in RFC 3339, or a duration such as 2h before now")
	fs.Lookup("timeout").Usage = "at most so long for each request"
	fs.Lookup("json").Usage = "print each change as JSON, one a line"
	return cmd
}

func (p *program) history(cmd *cobra.Command, service string, s *historySettings) error {
	q := client.HistoryQuery{Object: s.Object, Scope: client.Scope{Namespace: s.Namespace, Service: service}}
	if s.AllNamespaces || s.Object == bus.AllObjects {
		if q.Namespace = ""; service != "" {
			return usagef("history: %q is of one namespace; leave out --all-namespaces", service)
		}
	}
	if s.Since != "" {
		var err error
		if q.Since, err = moment(s.Since); err != nil {
			return usagef("--since %s: %v", s.Since, err)
		}
	}
	session, err := p.connect(cmd.Context(), cmd, &s.connection)
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // nothing was written
	for e, err := range session.History(cmd.Context(), q) {
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		switch {
		case s.Quiet:
			continue
		case s.JSON:
			err = json.NewEncoder(p.stdout).Encode(e)
		default:
			_, err = fmt.Fprintln(p.stdout, lineOf(&e))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moment reads a time, or how long ago it was.
func moment(text string) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("is neither a time such as 2026-11-21T03:12:00Z nor a duration such as 2h")
	}
	return at, nil
}

// lineOf is an entry for people.
func lineOf(e *client.HistoryEntry) string {
	at := e.Time.Time().UTC().Format("2006-01-02 15:04:05.000Z")
	switch e.Kind {
	case bus.HistoryBegin:
		return fmt.Sprintf("%s  -- the history begins at revision %d", at, e.Revision)
	case bus.HistoryGap:
		return fmt.Sprintf("%s  -- changes may be missing between revisions %d and %d", at, e.From, e.To)
	case bus.HistoryAnew:
		return fmt.Sprintf("%s  -- the bucket was made anew; epoch %d", at, e.Epoch)
	}
	what := e.Object + " " + e.Namespace + "." + e.Name
	if e.Object == bus.ObjectRegistration {
		what = e.Namespace + "." + e.Service + "/" + e.Instance
	}
	line := fmt.Sprintf("%s  %d  %s  %s", at, e.Revision, e.Kind, visible(what))
	if e.Reason != "" {
		line += "  (" + visible(e.Reason) + ")"
	}
	return line
}

// listAt is list for a moment in the past.
func (p *program) listAt(cmd *cobra.Command, scope client.Scope, text string, c *connection) error {
	var at client.Moment
	if revision, err := strconv.ParseUint(text, 10, 64); err == nil && revision > 0 {
		at.Revision = backend.Revision(revision)
	} else if at.Time, err = moment(text); err != nil {
		return usagef("--at %s: %v, nor a revision", text, err)
	}
	session, err := p.connect(cmd.Context(), cmd, c)
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // nothing was written
	past, err := session.ListAt(cmd.Context(), scope, at)
	if err != nil {
		return fmt.Errorf("list at %s: %w", at, err)
	}
	found, later := make([]*client.Registration, len(past)), 0
	for i := range past {
		if found[i] = &past[i].Registration; past[i].Later {
			later++
		}
	}
	switch {
	case c.Quiet:
		return nil
	case c.JSON:
		for i := range past {
			if err := writePast(p.stdout, &past[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if later > 0 {
		fmt.Fprintf(p.stderr, "roost: %d were there and were changed later; what they said before is older than the history\n", later) //nolint:errcheck // there is nowhere else to say it
	}
	return writeRegistrations(p.stdout, found, scope.Namespace == "")
}

// writePast writes one registration as JSON, and whether what it says is as of later.
func writePast(w io.Writer, one *client.Past) error {
	return json.NewEncoder(w).Encode(struct {
		Registration *client.Registration `json:"registration"`
		Later        bool                 `json:"later,omitempty"`
	}{&one.Registration, one.Later})
}
