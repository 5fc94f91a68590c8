package fault_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// atOnce is how many of these tests run at a time, unless -parallel says it: they wait more than they work.
const atOnce = 3

// program builds the program under test when the first test wants it, and returns its path.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // built once
	path, arguments := "../../bin/millrace-race", []string{"build", "-race"}
	if *full { // it is about sizes
		path, arguments = "../../bin/millrace-fault", []string{"build"}
	}
	build := exec.Command("go", append(arguments, "-o", path, "github.com/millrace-dev/millrace/cmd/millrace")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if os.Getenv(appURL) != "" {
		if err := appMain(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	testdb.Main(m)
}
