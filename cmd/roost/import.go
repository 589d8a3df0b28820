package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backup"
	"github.com/roostbus/roost/bus"
)

type importSettings struct {
	connection `koanf:",squash"`
	DryRun     bool `koanf:"dry_run"`
	Merge      bool `koanf:"merge"`
}

func newImport(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring back what was saved",
		Long: "Brings a registry what roost export has saved of one. FILE is read to its end first: one that is\n" +
			"damaged, cut off or of a newer format is refused before anything is changed. Then the epoch is raised\n" +
			"above that of the file, if it is not, so that no token comes again and every follower lists afresh.\n" +
			"It needs an operator's permissions.\n\n" +
			"The registry must not hold permanent registrations that the file has not, or has otherwise, unless\n" +
			"--merge is given. What is there stays as it is in any case, and so does an object of coordination that\n" +
			"somebody uses and a counter that is not at zero. Repeating an import changes nothing, and finishes one\n" +
			"that was interrupted.\n\n" + kept,
		Example: "  roost import backup.jsonl --dry-run\n" +
			"  roost import backup.jsonl\n" +
			"  roost import backup.jsonl --merge",
		Args: arguments(1, 1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s importSettings
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			return p.bring(cmd, args[0], &s)
		},
	}
	connectionFlags(cmd)
	fs := cmd.Flags()
	fs.Bool("dry-run", false, "say what would be done, and do nothing")
	fs.Bool("merge", false, "into a registry that holds something else")
	fs.Lookup("timeout").Usage = "at most so long for each request"
	fs.Lookup("json").Usage = "print what was done, or would be, as JSON"
	return cmd
}

func (p *program) bring(cmd *cobra.Command, name string, s *importSettings) (err error) {
	source, err := os.Open(name) //nolint:gosec // the operator's file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	file, err := backup.Open(source)
	if err != nil {
		return &codedError{code: exitUsage, err: fmt.Errorf("import %s: %w; nothing was changed", name, err)}
	}
	session, err := p.connect(cmd.Context(), cmd, &s.connection)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	i := backup.Import{Registry: session, Office: session, File: file, Merge: s.Merge}
	plan, err := p.plan(cmd.Context(), i, s)
	if errors.Is(err, backup.ErrNotEmpty) {
		shown := p.showPlan(plan, s)
		return errors.Join(&codedError{code: exitConflict, err: fmt.Errorf("import %s: %w; nothing was changed; to keep what is there and add what is not: --merge", name, err)}, shown)
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	if s.DryRun {
		return p.showPlan(plan, s)
	}
	bar := newProgressBar(p.stderr, "import", s.Quiet)
	i.Progress = bar.show
	done, err := i.Run(cmd.Context(), plan)
	bar.end()
	if err != nil {
		return fmt.Errorf("import %s, which may be repeated to go on: %w", name, err)
	}
	return p.showDone(plan, done, s)
}

func (p *program) plan(ctx context.Context, i backup.Import, s *importSettings) (backup.Plan, error) {
	bar := newProgressBar(p.stderr, "compare", s.Quiet)
	defer bar.end()
	i.Progress = bar.show
	return i.Plan(ctx)
}

// plannedImport is a plan as --json prints it.
type plannedImport struct {
	DryRun    bool                         `json:"dry_run"`
	Create    int                          `json:"create"`
	Unchanged int                          `json:"unchanged"`
	Conflicts int                          `json:"conflicts"`
	Extra     int                          `json:"extra"`
	Leased    int                          `json:"leased"`
	Examples  []string                     `json:"examples,omitempty"`
	NewEpoch  bool                         `json:"new_epoch"`
	Marks     map[bus.Kind]backup.MarkPlan `json:"marks"`
}

func (p *program) showPlan(plan backup.Plan, s *importSettings) error {
	switch {
	case s.Quiet:
		return nil
	case s.JSON:
		return json.NewEncoder(p.stdout).Encode(plannedImport{
			true, plan.Create, plan.Unchanged, plan.Conflicts, plan.Extra, plan.Leased, plan.Examples, plan.Raise, plan.Marks,
		})
	}
	return writeLines(p.stdout,
		fmt.Sprintf("would register %d; %d are there already; %d have a lease and are left out", plan.Create, plan.Unchanged, plan.Leased),
		fmt.Sprintf("would keep as they are: %d that differ from the backup, %d that are not in it", plan.Conflicts, plan.Extra),
		examplesOf(plan.Examples), planOf(plan.Marks), epochOf(plan))
}

func examplesOf(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf("among these: %v", keys)
}

func planOf(marks map[bus.Kind]backup.MarkPlan) string {
	restore, unchanged, inUse := 0, 0, 0
	for _, m := range marks {
		restore, unchanged, inUse = restore+m.Restore, unchanged+m.Unchanged, inUse+m.InUse
	}
	return fmt.Sprintf("would raise the marks of %d objects; %d are as high already; %d are in use and stay as they are", restore, unchanged, inUse)
}

func epochOf(plan backup.Plan) string {
	if plan.Raise {
		return "would begin a new epoch"
	}
	return fmt.Sprintf("epoch %d would stay", plan.Epoch)
}

// doneImport is what was done as --json prints it.
type doneImport struct {
	Created   int  `json:"created"`
	Unchanged int  `json:"unchanged"`
	Kept      int  `json:"kept"`
	Leased    int  `json:"leased"`
	Marks     int  `json:"marks"`
	InUse     int  `json:"in_use"`
	NewEpoch  bool `json:"new_epoch"`
	Epoch     any  `json:"epoch"`
}

func (p *program) showDone(plan backup.Plan, done backup.Done, s *importSettings) error {
	switch {
	case s.Quiet:
		return nil
	case s.JSON:
		return json.NewEncoder(p.stdout).Encode(doneImport{
			done.Created, plan.Unchanged, done.Kept, plan.Leased, done.Restored, done.InUse, plan.Raise, done.Epoch,
		})
	}
	return writeLines(p.stdout,
		fmt.Sprintf("registered %d; %d were there already; %d differ from the backup and stay as they are; %d have a lease and are left out",
			done.Created, plan.Unchanged, done.Kept, plan.Leased),
		fmt.Sprintf("raised the marks of %d objects; %d are in use and stay as they are", done.Restored, done.InUse),
		fmt.Sprintf("the epoch is %d", done.Epoch))
}

// writeLines writes those of lines that say something.
func writeLines(w io.Writer, lines ...string) error {
	for _, l := range lines {
		if l == "" {
			continue
		}
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	return nil
}
