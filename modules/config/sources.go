package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Sources says where settings come from.
type Sources struct {
	// Flags are the settings there are, each with its default, as the command line set
	// them.
	Flags *pflag.FlagSet
	// Others are settings of other commands, whose keys the file may hold too.
	Others []*pflag.FlagSet
	// File is the settings file in YAML; "" for none.
	File string
	// Environ is the environment, as os.Environ returns it.
	Environ []string
}

// Validator is what Load asks about what it has filled in. Its error may be joined of
// many; [Problem] makes those that Load can say the origin of.
type Validator interface{ Validate() error }

// Key returns the settings file's key for a flag.
func Key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// Variable returns the environment variable for a flag.
func Variable(flag string) string { return envPrefix + strings.ToUpper(Key(flag)) }

const envPrefix = "ROOST_"

// Load fills into, a pointer to a struct with koanf tags, and validates it if it is a
// [Validator].
func (s Sources) Load(into any) error {
	k := koanf.New("\x00")
	origins := make(map[string]string)
	var problems []error

	values, err := s.fromFile(origins)
	problems = append(problems, err)
	if err := k.Load(confmap.Provider(values, ""), nil); err != nil {
		return fmt.Errorf("read %s: %w", s.File, err)
	}
	problems = append(problems, s.checkEnviron(), s.checkSecrets())
	if err := k.Load(s.environ(origins), nil); err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	if err := k.Load(s.flags(k, origins), nil); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	if err := k.Unmarshal("", into); err != nil {
		return errors.Join(append(problems, err)...)
	}
	if v, ok := into.(Validator); ok {
		problems = append(problems, placed(v.Validate(), origins))
	}
	return errors.Join(problems...)
}

// environ yields the variables of s.Flags that parse.
func (s Sources) environ(origins map[string]string) koanf.Provider {
	return env.Provider("\x00", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return s.Environ },
		TransformFunc: func(name, text string) (string, any) {
			f := s.flagOfVariable(name)
			if f == nil {
				return "", nil
			}
			value, err := parse(f, text)
			if err != nil {
				return "", nil // checkEnviron reports it
			}
			key := Key(f.Name)
			origins[key] = name
			return key, value
		},
	})
}

// checkEnviron reports the variables of s.Flags that do not parse.
func (s Sources) checkEnviron() error {
	var problems []error
	for _, pair := range s.Environ {
		name, text, _ := strings.Cut(pair, "=")
		if f := s.flagOfVariable(name); f != nil {
			if _, err := parse(f, text); err != nil {
				problems = append(problems, &ProblemError{Where: name, Key: Key(f.Name), Text: err.Error()})
			}
		}
	}
	return errors.Join(problems...)
}

// flags yields the flags that were given, and the defaults of what nothing else sets.
func (s Sources) flags(k *koanf.Koanf, origins map[string]string) koanf.Provider {
	return posflag.ProviderWithFlag(s.Flags, "\x00", k, func(f *pflag.Flag) (string, any) {
		key := Key(f.Name)
		if f.Changed {
			origins[key] = "--" + f.Name
		}
		return key, posflag.FlagVal(s.Flags, f)
	})
}

func (s Sources) flagOfVariable(name string) (found *pflag.Flag) {
	if !strings.HasPrefix(name, envPrefix) {
		return nil
	}
	s.Flags.VisitAll(func(f *pflag.Flag) {
		if Variable(f.Name) == name {
			found = f
		}
	})
	return found
}

// flagOfKey returns the flag of key, and whether any command has it.
func (s Sources) flagOfKey(key string) (found *pflag.Flag, known bool) {
	lookup := func(fs *pflag.FlagSet) *pflag.Flag {
		return fs.Lookup(strings.ReplaceAll(key, "_", "-"))
	}
	if strings.Contains(key, "-") {
		return nil, false
	}
	if f := lookup(s.Flags); f != nil {
		return f, true
	}
	for _, fs := range s.Others {
		if lookup(fs) != nil {
			return nil, true
		}
	}
	return nil, false
}

// readFile is os.ReadFile with an error that says whose file it is.
func readFile(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the settings file: %w", err)
	}
	return text, nil
}
