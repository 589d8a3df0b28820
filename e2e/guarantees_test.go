package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	namedClause = regexp.MustCompile("clause `([A-Z][A-Za-z0-9]*)`")
	promise     = regexp.MustCompile(`(?m)^\*\*([A-Z]\d+)`)
)

// TestEveryPromiseNamesTestsThatExist keeps docs/guarantees.md true.
func TestEveryPromiseNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	code := goFiles(t)
	sections := promise.Split(string(page), -1)[1:]
	if len(sections) < 6 {
		t.Fatalf("the page has %d promises; want more", len(sections))
	}
	for _, section := range sections {
		names := 0
		for _, m := range namedTest.FindAllStringSubmatch(section, -1) {
			if names++; !strings.Contains(code, "func "+m[1]+"(t *testing.T)") {
				t.Errorf("there is no test %s", m[1])
			}
		}
		for _, m := range namedClause.FindAllStringSubmatch(section, -1) {
			if names++; !strings.Contains(code, `name: "`+m[1]+`"`) {
				t.Errorf("there is no clause %s", m[1])
			}
		}
		if names == 0 {
			t.Errorf("a promise names no test: %.80s", section)
		}
	}
}

// goFiles returns all Go code of the module as one text.
func goFiles(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
				return filepath.SkipDir
			}
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
