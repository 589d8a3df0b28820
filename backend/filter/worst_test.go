package filter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/filter"
)

// BenchmarkWorst shows what the dearest expressions that are accepted cost, on a
// registration of the greatest size.
func BenchmarkWorst(b *testing.B) {
	r := registration()
	r.Metadata = backend.Metadata(`{"l":[` + strings.Repeat("1,", 32_000) + `1]}`)
	s := registration()
	s.Metadata = backend.Metadata(`{"s":"` + strings.Repeat("a", 64_000) + `"}`)
	body := strings.TrimSuffix(strings.Repeat("# == 2 || ", 200), " || ")
	for name, c := range map[string]struct {
		text string
		r    *backend.Registration
	}{
		"loops":   {fmt.Sprintf(`any(metadata.l, %s) || any(metadata.l, # > 1) || any(metadata.l, # < 1) || any(metadata.l, # > 2)`, body), r},
		"in":      {strings.Repeat(`2 in metadata.l || `, 150) + `false`, r},
		"pattern": {fmt.Sprintf(`metadata.s matches "%sb"`, strings.Repeat("(a|a?)*", 120)), s},
		"join":    {strings.Repeat(`metadata.s + `, 180) + `"" == ""`, s},
		"upper":   {strings.Repeat(`upper(`, 500) + "metadata.s" + strings.Repeat(")", 500) + ` == ""`, s},
		"keys":    {strings.Repeat(`len(string(metadata)) == 1 || `, 4) + `false`, r},
	} {
		b.Run("Compile/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := filter.Compile(c.text); err != nil {
					b.Fatal(err)
				}
			}
		})
		f, err := filter.Compile(c.text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Match/"+name, func(b *testing.B) {
			for b.Loop() {
				f(c.r)
			}
		})
	}
}
