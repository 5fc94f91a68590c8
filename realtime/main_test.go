package realtime_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) {
	testdb.Main(m,
		// centrifuge never closes its metrics exporter: one goroutine a node, until the process ends.
		goleak.IgnoreTopFunction("github.com/FZambia/eagle.(*Eagle).aggregate"),
		// It leaves a channel a second after the last subscriber; a stop does not wait for that.
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}
