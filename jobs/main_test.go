package jobs

import (
	"flag"
	"os"
	"testing"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// testsAtOnce is more than there are processors: most of these tests wait, for a lease to run out or for a poll.
const testsAtOnce = "6"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		childMain(url) // does not return
	}

	// Before the command line is read, so that -parallel has the last word.
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}

	testdb.Main(m)
}
