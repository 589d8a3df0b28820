package coordination

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/roostbus/roost/modules/config"
)

func placeOf(t *testing.T, c *config.Server) string {
	t.Helper()
	name, err := place(c)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAStoreDirectoryKeepsItsNameAndNoOtherHasIt(t *testing.T) {
	t.Parallel()
	one, other := config.DefaultServer(), config.DefaultServer()
	one.StoreDir, other.StoreDir = t.TempDir(), t.TempDir()
	name := placeOf(t, &one)
	if again := placeOf(t, &one); again != name || name == "" {
		t.Errorf("place = %q, then %q; want the same name", name, again)
	}
	if placeOf(t, &other) == name {
		t.Error("two directories have one name")
	}
}

func TestADirectoryWhoseNameWasLostGetsAnother(t *testing.T) {
	t.Parallel()
	c := config.DefaultServer()
	c.StoreDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(c.StoreDir, placeFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if placeOf(t, &c) == "" {
		t.Error("place is empty")
	}
}

func TestWhatIsNotKeptHasNoPlace(t *testing.T) {
	t.Parallel()
	c := config.DefaultServer()
	c.Backend = config.BackendMemory
	if name := placeOf(t, &c); name != "" {
		t.Errorf("place = %q; want none", name)
	}
}
