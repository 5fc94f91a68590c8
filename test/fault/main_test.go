package fault_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// program is the path of the binary under test.
var program string //nolint:gochecknoglobals // TestMain can hand nothing to the tests

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "millrace-fault-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "millrace")
	flag.Parse()
	arguments := []string{"build", "-race", "-o", program}
	if *full { // without: it is about sizes
		arguments = slices.Delete(arguments, 1, 2)
	}
	build := exec.Command("go", append(arguments, "github.com/millrace-dev/millrace/cmd/millrace")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		os.Exit(1)
	}
	testdb.Main(m)
}
