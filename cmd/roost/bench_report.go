package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/cmd/roost/bench"
	"github.com/roostbus/roost/cmd/roost/bench/chart"
)

// newBenchReport shows what was measured before.
func newBenchReport(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Show what was measured before, as tables, a chart or a page",
		Long: "Shows what roost bench --json has written, of one or of several runs of one program on one machine.\n" +
			"A page is a Markdown file: what is between its marks is replaced, the rest is left alone. That of\n" +
			"--scaling says what the measured costs come to with many instances.",
		Example: "  roost bench report run.json\n" +
			"  roost bench report run.json nodes.json --svg docs/benchmarks.svg --markdown docs/benchmarks.md \\\n" +
			"    --scaling docs/scaling.md",
		Args: arguments(1, 100, "FILE"),
		RunE: func(cmd *cobra.Command, files []string) error {
			var s struct {
				SVG      string `koanf:"svg"`
				Markdown string `koanf:"markdown"`
				Scaling  string `koanf:"scaling"`
			}
			if err := p.settings(cmd, &s); err != nil {
				return err
			}
			report, err := readReports(files)
			if err != nil {
				return fmt.Errorf("bench report: %w", err)
			}
			if s.SVG == "" && s.Markdown == "" && s.Scaling == "" {
				return report.Print(p.stdout)
			}
			if err := errors.Join(drawReport(report, s.SVG), insertReport(report, s.Markdown, s.SVG), rewrite(s.Scaling, report.InsertScaling)); err != nil {
				return fmt.Errorf("bench report: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().String("svg", "", "draw a chart into `FILE`")
	cmd.Flags().String("markdown", "", "write tables into the page `FILE`")
	cmd.Flags().String("scaling", "", "write the arithmetic of many instances into the page `FILE`")
	return cmd
}

// newBenchCompare says whether something has become much worse.
func newBenchCompare(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "compare BEFORE NOW",
		Short: "Compare what was measured with what was measured before",
		Long: "Compares what roost bench --json has written with an earlier run: ratios to bare NATS, and CPU time as a\n" +
			"share of that of bare NATS. What is worse by half or more is far off, and the exit code is 1.",
		Example: "  roost bench --rounds 3 --duration 300ms --json > now.json\n" +
			"  roost bench compare docs/benchmarks.json now.json",
		Args: arguments(2, 2, "BEFORE and NOW"),
		RunE: func(_ *cobra.Command, files []string) error {
			before, err := readReports(files[:1])
			if err != nil {
				return fmt.Errorf("bench compare: %w", err)
			}
			now, err := readReports(files[1:])
			if err != nil {
				return fmt.Errorf("bench compare: %w", err)
			}
			changes := bench.Compare(before, now)
			if len(changes) == 0 {
				return errors.New("bench compare: the reports have nothing in common")
			}
			table, farOff := bench.ChangesTable(changes)
			if _, err := io.WriteString(p.stdout, table); err != nil {
				return err
			}
			if farOff > 0 {
				return fmt.Errorf("bench compare: %d of %d are far off", farOff, len(changes))
			}
			return nil
		},
	}
}

// readReports returns what files say, as one report.
func readReports(files []string) (*bench.Report, error) {
	var all []*bench.Report
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // it is what the user asked for
		if err != nil {
			return nil, err
		}
		var r bench.Report
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s is no report of roost bench --json: %w", name, err)
		}
		all = append(all, &r)
	}
	return bench.Merge(all)
}

// drawReport draws a chart into a file, unless its name is "".
func drawReport(r *bench.Report, name string) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name) //nolint:gosec // it is what the user asked for
	if err != nil {
		return err
	}
	return errors.Join(chart.Write(f, r), f.Close())
}

// writable reports why a file cannot be written, unless its name is "". What is in it stays.
func writable(name string) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // it is what the user asked for
	if err != nil {
		return err
	}
	return f.Close()
}

// insertReport writes tables into a page, unless its name is "".
func insertReport(r *bench.Report, page, picture string) (err error) {
	if page != "" && picture != "" {
		if picture, err = filepath.Rel(filepath.Dir(page), picture); err != nil {
			return err
		}
	}
	return rewrite(page, func(text string) (string, error) { return r.Insert(text, filepath.ToSlash(picture)) })
}

// rewrite changes a page, unless its name is "".
func rewrite(page string, change func(text string) (string, error)) error {
	if page == "" {
		return nil
	}
	text, err := os.ReadFile(page) //nolint:gosec // it is what the user asked for
	if err != nil {
		return err
	}
	changed, err := change(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(changed), 0o600)
}
