package coordination

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/roostbus/roost/modules/config"
)

// placeFile lies in the store directory and holds a name that no other directory has.
const placeFile = "place"

// place returns the name of c's store directory, which the process has locked; "" if it
// has none.
func place(c *config.Server) (string, error) {
	if !c.Kept() {
		return "", nil
	}
	path := filepath.Join(c.StoreDir, placeFile)
	name, err := os.ReadFile(path) //nolint:gosec // the operator's directory
	if found := strings.TrimSpace(string(name)); err == nil && found != "" {
		return found, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("name the store directory: %w", err)
	}
	fresh := rand.Text()
	// Half a name is as good as a whole one, and an empty file is named again.
	if err := os.WriteFile(path, []byte(fresh+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("name the store directory: %w", err)
	}
	return fresh, nil
}
