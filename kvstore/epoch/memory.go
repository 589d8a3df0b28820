package epoch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/roostbus/roost/kvstore"
)

// Remembered is what a node has seen of a store.
type Remembered struct {
	Epoch      uint32             `json:"epoch"`
	Generation kvstore.Generation `json:"generation"`
	Last       uint64             `json:"last"` // the highest revision
	// Boot is the life of the machine with which something of the store may end that was
	// acknowledged; "" if nothing may.
	Boot string `json:"boot,omitempty"`
}

// Memory keeps what a node has seen beyond its own life.
type Memory interface {
	// Load returns what was saved last, the zero value if nothing was.
	Load() (Remembered, error)
	Save(r Remembered) error
}

// File returns a Memory in the file at path. It is replaced as a whole, so a crash leaves
// the old one or the new one.
func File(path string) Memory { return file(path) }

type file string

func (f file) Load() (Remembered, error) {
	text, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return Remembered{}, nil
	}
	if err != nil {
		return Remembered{}, err
	}
	var r Remembered
	if err := json.Unmarshal(text, &r); err != nil {
		return Remembered{}, fmt.Errorf("%s: %w (remove the file and start once with --new-epoch)", string(f), err)
	}
	return r, nil
}

func (f file) Save(r Remembered) (err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode %s: %w", string(f), err)
	}
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(t.Name()))
		}
	}()
	_, err = t.Write(text)
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	if err := os.Rename(t.Name(), string(f)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(string(f)))
}

// syncDir makes the names in a directory outlive a loss of power, where a system can do that
// to directories.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || runtime.GOOS == "windows" {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// Forgetful returns a Memory that lasts as long as it is held.
func Forgetful() Memory { return &forgetful{} }

type forgetful struct {
	mu sync.Mutex
	r  Remembered
}

func (f *forgetful) Load() (Remembered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.r, nil
}

func (f *forgetful) Save(r Remembered) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.r = r
	return nil
}
