package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

type proposeSettings struct {
	connection `koanf:",squash"`
	Namespace  string        `koanf:"namespace"`
	Voters     string        `koanf:"voters"`
	Quorum     string        `koanf:"quorum"`
	Within     time.Duration `koanf:"within"`
}

func newPropose(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "propose NAME VALUE --voters SERVICE",
		Short: "Put a value to the vote",
		Long: "Puts VALUE, JSON or else text, to the vote of the live instances of a service, and waits for the\n" +
			"outcome: the exit code is 0 if it was committed and 1 if it was aborted. Permanent instances have\n" +
			"no owner and no vote.",
		Example: "  roost propose schema '{\"version\":7}' --voters payments --quorum all --within 1m",
		Args:    arguments(2, 2, "NAME and VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s proposeSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			o, err := s.options()
			if err != nil {
				return err
			}
			return p.propose(cmd, args[0], args[1], &s, o)
		},
	}
	connectionFlags(cmd)
	fs := cmd.Flags()
	fs.String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the name and of the service")
	fs.String("voters", "", "`SERVICE` whose instances vote")
	fs.String("quorum", "majority", "how many must accept: majority|all|N")
	fs.Duration("within", 30*time.Second, "how long it is voted on")
	fs.Lookup("timeout").Usage = "at most so long for each request"
	return cmd
}

func (s *proposeSettings) options() (client.ProposeOptions, error) {
	o := client.ProposeOptions{Service: client.Scope{Namespace: s.Namespace, Service: s.Voters}, Timeout: s.Within}
	switch {
	case s.Voters == "":
		return o, usagef("propose: say who votes, with --voters SERVICE")
	case s.Within < time.Millisecond:
		return o, usagef("--within %v: must be at least 1ms", s.Within)
	}
	switch s.Quorum {
	case "majority":
	case "all":
		o.Quorum = client.QuorumAll()
	default:
		n, err := strconv.Atoi(s.Quorum)
		if err != nil || n < 1 {
			return o, usagef("--quorum %q: want majority, all or a number from 1", s.Quorum)
		}
		o.Quorum = client.QuorumOf(n)
	}
	return o, nil
}

func (p *program) propose(cmd *cobra.Command, name, value string, s *proposeSettings, o client.ProposeOptions) error {
	// A new keeper lets the time for votes begin anew.
	const slack = 10 * time.Second
	return p.leased(cmd, &s.connection, s.Within+slack, "proposal "+name, func(ctx context.Context, session *session, lease *client.Lease) error {
		proposals := session.Proposals(s.Namespace, name)
		made, err := proposals.Propose(ctx, lease, jsonOf(value), o)
		if err != nil {
			return err
		}
		outcome, err := proposals.Wait(ctx, made.ID)
		if err != nil {
			return err
		}
		if err := session.show(func(w io.Writer) error { return writeProposal(w, &outcome) }); err != nil {
			return err
		}
		if outcome.Decision != client.Committed {
			return &codedError{code: exitFailed, err: fmt.Errorf("proposal %s %s: %s: %s", name, outcome.ID, outcome.Decision, outcome.Reason)}
		}
		return nil
	})
}

func writeProposal(w io.Writer, p *client.Proposal) error {
	accepted := 0
	t := table{headings: []string{"VOTER", "VOTE", "REASON"}, flexible: []int{2}}
	said := make(map[string]client.Vote, len(p.Votes))
	for _, v := range p.Votes {
		said[v.Owner] = v
	}
	for _, owner := range p.Voters {
		vote, reason := "-", ""
		if v, ok := said[owner]; ok {
			if vote, reason = "no", v.Reason; v.Accept {
				vote = "yes"
				accepted++
			}
		}
		t.add(owner, vote, reason)
	}
	if _, err := fmt.Fprintf(w, "%s %s: %d of %d accepted, %d needed\n", p.Decision, p.ID, accepted, len(p.Voters), p.Quorum); err != nil {
		return err
	}
	return t.write(w, terminalWidth(w))
}

type voteSettings struct {
	connection `koanf:",squash"`
	underLease `koanf:",squash"`
	Namespace  string `koanf:"namespace"`
	ID         string `koanf:"id"`
	Reason     string `koanf:"reason"`
}

func newVote(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vote NAME --id ID yes|no",
		Short: "Vote on a proposal",
		Long: "Votes as the owner of --lease, who must be one of the voters. The first vote counts; a different\n" +
			"second one is exit code 4.",
		Example: "  roost vote schema --id 6YQ2Z5J7N3 yes --lease $ROOST_LEASE\n" +
			"  ROOST_LEASE=$SECRET roost vote schema --id 6YQ2Z5J7N3 no --reason 'not migrated yet'",
		Args: arguments(2, 2, "NAME and yes or no"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s voteSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			accept, err := s.accepts(args[1])
			if err != nil {
				return err
			}
			return s.with(p, cmd, &s.connection, func(ctx context.Context, session *session, owner string) error {
				now, err := session.Proposals(s.Namespace, args[0]).VoteAs(ctx, owner, s.ID, accept, s.Reason)
				if err != nil {
					return aboutObject(err)
				}
				return session.show(func(w io.Writer) error { return writeProposal(w, &now) })
			})
		},
	}
	connectionFlags(cmd)
	underLeaseFlag(cmd)
	cmd.Flags().Lookup("lease").Usage = "`SECRET` of the voter's lease"
	fs := cmd.Flags()
	fs.String("namespace", backend.DefaultNamespace, "`NAMESPACE` of the name")
	fs.String("id", "", "`ID` of the proposal")
	fs.String("reason", "", "`TEXT` for the others")
	return cmd
}

func (s *voteSettings) accepts(vote string) (bool, error) {
	var wrong []error
	if s.Lease == "" {
		wrong = append(wrong, errors.New("say as whom, with --lease SECRET"))
	}
	if s.ID == "" {
		wrong = append(wrong, errors.New("say on what, with --id ID"))
	}
	vote = strings.ToLower(vote)
	if vote != "yes" && vote != "no" {
		wrong = append(wrong, fmt.Errorf("%q is neither yes nor no", vote))
	}
	if len(wrong) > 0 {
		return false, usagef("vote: %w", errors.Join(wrong...))
	}
	return vote == "yes", nil
}
