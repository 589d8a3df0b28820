package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/filter"
)

func registration() *backend.Registration {
	return &backend.Registration{
		Key:       backend.Key{Namespace: "default", Service: "payments", Instance: "i-1"},
		Endpoints: backend.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
		Metadata: `{"version":"2.1.0","region":"eu-west","limits":{"rps":200,"ratio":0.5},"on":true,` +
			`"tags":["a","b"],"big":9007199254740993,"huge":1e400,"null":null,"list":[{"n":1},{"n":2}]}`,
		Weight: 100,
	}
}

func TestFilterSelectsByWhatTheRegistrationSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`true`:                               true,
		`namespace == "default"`:             true,
		`service startsWith "pay"`:           true,
		`instance matches "^i-[0-9]"`:        true,
		`status == "up"`:                     true,
		`status in ["draining"]`:             false,
		`weight >= 100 && weight < 101`:      true,
		`endpoints.http contains "10.0.0.7"`: true,
		`"grpc" in endpoints`:                false,
		`metadata.region in ["eu-west","eu-north"] && metadata.limits.rps >= 100`: true,
		`metadata.limits["rps"] + 1 == 201`:                                       true,
		`metadata.limits.ratio < 1`:                                               true,
		`metadata.on`:                                                             true,
		`!metadata.on`:                                                            false,
		`not metadata.off`:                                                        true,
		`"a" in metadata.tags`:                                                    true,
		`any(metadata.tags, # == "b")`:                                            true,
		`all(metadata.tags, # == "b")`:                                            false,
		`any(metadata.list, .n > 1)`:                                              true,
		`metadata.list[1].n == 2`:                                                 true,
		`len(metadata.tags) == 2`:                                                 true,
		`metadata.big == 9007199254740993`:                                        true,
		`metadata.big == 9007199254740992`:                                        false,
		`metadata.huge > 1`:                                                       true,
		`metadata.version matches "^2[.]"`:                                        true,
		`metadata.on ? weight == 100 : false`:                                     true,
		`lower(service) == "payments"`:                                            true,
	} {
		f, err := filter.Compile(text)
		if err != nil {
			t.Errorf("Compile(%s): %v", text, err)
			continue
		}
		if got := f(registration()); got != want {
			t.Errorf("%s = %v; want %v", text, got, want)
		}
	}
}

func TestWhatMetadataDoesNotHaveIsFalse(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{
		`metadata.missing`, `metadata.missing == "x"`, `metadata.missing > 1`, `metadata.missing.deeper.still <= 1`,
		`metadata.region.deeper == 1`, `metadata.region > 1`, `metadata.null >= 0`, `metadata.missing in ["x"]`,
		`"x" in metadata.missing`, `metadata.region in metadata.on`, `metadata.missing contains "x"`,
		`metadata.on startsWith "x"`, `metadata.missing matches ".*"`, `metadata.on matches ".*"`,
		`any(metadata.missing, true)`, `any(metadata.region, true)`, `metadata.missing + 1 > 0`,
		`metadata.on * 2 > 0`, `-metadata.missing < 1`, `metadata.limits.rps % 0 == 1`, `metadata.tags[9] == "a"`,
		`metadata.tags.a == "a"`, `metadata.missing[0] == 1`, `metadata.missing && true`, `metadata.region && true`,
		`metadata.missing ? true : false`, `endpoints.missing == "x"`, `metadata.tags > metadata.tags`,
	} {
		f, err := filter.Compile(missing)
		if err != nil {
			t.Errorf("Compile(%s): %v", missing, err)
			continue
		}
		if f(registration()) {
			t.Errorf("%s is true; want false", missing)
		}
		f, err = filter.Compile(missing + ` || weight == 100`)
		if strings.Contains(missing, "?") || err != nil {
			continue
		}
		if !f(registration()) {
			t.Errorf("%s makes the other side of || false", missing)
		}
	}
}

func TestWhatIsTooLongIsAsIfItWereMissing(t *testing.T) {
	t.Parallel()
	r := registration()
	r.Metadata = backend.Metadata(`{"list":[` + strings.Repeat("1,", 5000) + `1],"text":"` + strings.Repeat("a", 5000) + `"}`)
	for text, want := range map[string]bool{
		`any(metadata.list, # == 1)`:       false,
		`1 in metadata.list`:               true,
		`metadata.text matches "^a"`:       false,
		`metadata.text startsWith "a"`:     true,
		`metadata.text + "x" == ""`:        false,
		`any(keys(metadata), # == "list")`: true,
	} {
		f, err := filter.Compile(text)
		if err != nil {
			t.Errorf("Compile(%s): %v", text, err)
		} else if got := f(r); got != want {
			t.Errorf("%s = %v; want %v", text, got, want)
		}
	}
}

func TestFailureAtRunTimeDoesNotMatch(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`len(metadata.missing) == 0`, `int(metadata.region) == 0`, `upper(metadata.on) == "X"`} {
		f, err := filter.Compile(text)
		if err != nil {
			t.Errorf("Compile(%s): %v", text, err)
		} else if f(registration()) {
			t.Errorf("%s matches", text)
		}
	}
}

func TestWrongFilterIsInvalidWithThePosition(t *testing.T) {
	t.Parallel()
	for text, position := range map[string]string{
		`weight >`:                        "1:8",
		`weight > "x"`:                    "1:8",
		`region == "eu"`:                  "1:1",
		"weight > 1 &&\n  regoin == \"\"": "2:3",
		`weight`:                          "",
		`"x"`:                             "",
		`now() > 1`:                       "1:1",
		`$env.weight == 1`:                "1:1",
		`metadata.f()`:                    "1:",
		`service.f == 1`:                  "1:9",
		`let x = 1; x == 1`:               "1:5",
		`weight in 1..100`:                "1:12",
		`service matches metadata.p`:      "1:9",
		`service matches "("`:             "1:",
		`{"a": 1}.a == 1`:                 "1:",
		``:                                "",
		`"a" == "` + "\xff" + `"`:         "",
	} {
		_, err := filter.Compile(text)
		invalid, ok := errors.AsType[*backend.InvalidError](err)
		if !ok || invalid.Field != "filter" || !strings.HasPrefix(invalid.Problem, position) {
			t.Errorf("Compile(%q) = %v; want an InvalidError at %s", text, err, position)
		}
	}
}

func TestFilterThatIsTooLargeOrTooSlowIsRefused(t *testing.T) {
	t.Parallel()
	long := `weight == 1` + strings.Repeat(" ", backend.MaxFilter)
	if _, err := filter.Compile(long); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("Compile of %d bytes = %v; want ErrTooLarge", len(long), err)
	}
	for _, text := range []string{
		`any(1..1000000, any(1..1000000, # > 1))`,
		`any(metadata.tags, any(metadata.tags, # == "x"))`,
		`len(repeat("x", 1000000000)) > 1`,
		`len(map(1..1000000, "x")) > 1`,
		strings.Repeat(`string(metadata) == "x" || `, 50) + `true`,
		`service matches "(((a{30}){30}){30}){30}"`,
		`metadata.x matches "` + strings.Repeat("(a|b?)*", 400) + `"`,
		`reduce(1..1000000, #acc + #) > 1`,
		strings.Repeat(`any(metadata.tags, # == "x") || `, 50) + `true`,
		strings.Repeat(`1+`, 1500) + `1 == 1`,
		strings.Repeat(`!`, 4000) + `true`,
		strings.Repeat(`(`, 2000) + `true` + strings.Repeat(`)`, 2000) + `)`,
	} {
		if _, err := filter.Compile(text); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("Compile(%.60s…) = %v; want ErrInvalid", text, err)
		}
	}
}

func TestCacheReturnsWhatItCompiledAndForgetsTheOldest(t *testing.T) {
	t.Parallel()
	c := filter.NewCache()
	if f, err := c.Compile(""); f != nil || err != nil {
		t.Errorf("Compile of nothing = %v; want nil, nil", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 600 {
				f, err := c.Compile(fmt.Sprintf("weight == %d", i%300))
				if err != nil {
					t.Error(err)
				} else if f(registration()) != (i%300 == 100) {
					t.Errorf("the filter for weight %d is another one's", i%300)
				}
			}
		})
	}
	wg.Wait()
	if _, err := c.Query(&backend.Query{Filter: "nope"}); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("Query = %v; want ErrInvalid", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`metadata.region in ["eu-west"] && metadata.limits.rps >= 100`, `any(metadata.tags, # == "a")`,
		`metadata.a?.b ?? 1 > 2`, `-metadata.x ** 2 < 1`, `count(metadata.list, .n == 1) == 1`, `keys(metadata)[0] == "x"`,
		`metadata.a | len() > 1`, `weight in [1,2] ? true : metadata.on`, `first(metadata.tags) == "a"`, `max(metadata.x, 1) == 1`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		match, err := filter.Compile(text)
		if err != nil {
			if !errors.Is(err, backend.ErrInvalid) && !errors.Is(err, backend.ErrTooLarge) {
				t.Errorf("Compile(%q) = %v", text, err)
			}
			return
		}
		first := match(registration())
		match(&backend.Registration{})
		if match(registration()) != first {
			t.Errorf("%q does not always give the same answer", text)
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	f, err := filter.Compile(`metadata.region in ["eu-west","eu-north"] && metadata.limits.rps >= 100`)
	if err != nil {
		b.Fatal(err)
	}
	r := registration()
	b.ReportAllocs()
	for b.Loop() {
		f(r)
	}
}
