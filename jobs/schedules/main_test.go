package schedules

import (
	"testing"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }
