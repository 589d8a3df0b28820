package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backup"
	"github.com/roostbus/roost/bus"
)

// kept says what is in a backup and what an import brings back of it.
const kept = "Kept and brought back: permanent registrations; of elections the terms, tokens and who led; the\n" +
	"tokens of locks and semaphores; the generations of barriers; what was decided on proposals; counters.\n" +
	"In the file but not brought back: registrations with a lease. A process that lives registers again by\n" +
	"itself, and one that does not must not look as if it did.\n" +
	"Not kept: leases, and who leads, holds, waits or votes. They are of processes, and end with them.\n" +
	"Revisions and times of what is brought back are new."

func newExport(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Save what a registry holds",
		Long: "Writes what the registry holds, exactly as of one revision, to FILE, or to the standard output if\n" +
			"that is -. The file is JSON Lines with a checksum, and is there as a whole or not at all. The\n" +
			"registry goes on serving meanwhile. It needs an operator's permissions.\n\n" + kept,
		Example: "  roost export backup.jsonl\n" +
			"  roost export - | zstd > backup.jsonl.zst",
		Args: arguments(1, 1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c connection
			if err := p.settings(cmd, &c); err != nil {
				return err
			}
			return p.export(cmd, args[0], &c)
		},
	}
	connectionFlags(cmd)
	cmd.Flags().Lookup("timeout").Usage = "at most so long for each request"
	cmd.Flags().Lookup("json").Usage = "print the header of the file as JSON"
	return cmd
}

func (p *program) export(cmd *cobra.Command, name string, c *connection) (err error) {
	session, err := p.connect(cmd.Context(), cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	bar := newProgressBar(p.stderr, "export", c.Quiet)
	defer bar.end()
	var header backup.Header
	opts := backup.Options{Progress: bar.show}
	if name == "-" {
		header, err = backup.Export(cmd.Context(), session, session, p.stdout, opts)
		return err
	}
	opts.Dir = filepath.Dir(name)
	err = replace(name, func(w io.Writer) error {
		header, err = backup.Export(cmd.Context(), session, session, w, opts)
		return err
	})
	if err != nil {
		return fmt.Errorf("export to %s: %w", name, err)
	}
	bar.end()
	switch {
	case c.Quiet:
		return nil
	case c.JSON:
		return json.NewEncoder(p.stdout).Encode(header)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %d registrations, %d of them permanent%s, as of revision %d of epoch %d\n",
		name, header.Registrations, header.Permanent, marksOf(header.Marks), header.Revision, header.Epoch)
	return err
}

// marksOf lists counts by kind: ", 3 of elections, 1 of locks".
func marksOf(counts map[bus.Kind]int) string {
	var b strings.Builder
	for _, kind := range bus.Kinds() {
		if n := counts[kind]; n > 0 {
			fmt.Fprintf(&b, ", %s marks %d", kind, n)
		}
	}
	return b.String()
}

// replace puts what write writes in the place of the file name, as a whole or not at all.
func replace(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
