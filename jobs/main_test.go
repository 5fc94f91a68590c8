package jobs

import (
	"os"
	"testing"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		childMain(url) // does not return
	}

	testdb.Main(m)
}
