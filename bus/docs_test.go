package bus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example is a JSON block of a page that says which golden file it shows.
var example = regexp.MustCompile("(?s)<!-- golden: ([a-z_]+\\.json) -->\n```json\n(.*?)```\n")

// TestTheExamplesOfTheProtocolAreTheGoldenFiles keeps docs/protocol.md true; with -update
// it writes them anew.
func TestTheExamplesOfTheProtocolAreTheGoldenFiles(t *testing.T) {
	const page = "../docs/protocol.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	shown := example.ReplaceAllFunc(text, func(block []byte) []byte {
		found++
		name := string(example.FindSubmatch(block)[1])
		golden, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		if err != nil {
			t.Fatal(err)
		}
		return []byte("<!-- golden: " + name + " -->\n```json\n" + string(golden) + "```\n")
	})
	if found < 10 {
		t.Errorf("%s has %d examples; want at least 10", page, found)
	}
	if *update {
		if err := os.WriteFile(page, shown, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(shown), string(text)); diff != "" {
		t.Errorf("%s does not show the golden files (-want +got), run go test ./bus -update:\n%s", page, diff)
	}
}
