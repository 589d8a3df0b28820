package bustest_test

import (
	"os"
	"strings"
	"testing"
)

func TestTheDocsShowTheTestsThatAreRun(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("cashier_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(code), "// payAt is")
	if !strings.Contains(string(page), "```go\n// payAt is"+shown+"```\n") {
		t.Error("the code of docs/testing.md is not that of bus/bustest/cashier_test.go; copy it")
	}
}
