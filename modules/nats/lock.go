package nats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockFile lies in the store directory. The lock on it ends with the process, however it
// ends; the file stays.
const lockFile = "roost.lock"

// lock makes dir if it is not there, and locks it for this process.
func lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unusable(dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(dir, err)
	}
	if err := flock(f); err != nil {
		defer f.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("use store directory %s: it is in use by %s; "+
			"stop that one, or choose another directory with --store-dir", dir, holder(f))
	}
	if err := sign(f); err != nil {
		f.Close() //nolint:errcheck,gosec // the error of the write counts
		return nil, unusable(dir, err)
	}
	return f.Close, nil
}

// sign writes into the lock file who holds it.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder says who has locked f.
func holder(f *os.File) string {
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0)
	pid := strings.TrimSpace(string(text[:n]))
	if pid == "" {
		return "another process"
	}
	return "process " + pid
}

func unusable(dir string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("use store directory %s: %w; make it writable, or choose another with --store-dir", dir, err)
}
