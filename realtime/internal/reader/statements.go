package reader

import _ "embed" // the statements

// The statements, one a file; each says what it is for.
var (
	//go:embed sql/top.sql
	sqlTop string
	//go:embed sql/state.sql
	sqlState string
	//go:embed sql/moved.sql
	sqlMoved string
	//go:embed sql/history.sql
	sqlHistory string
	//go:embed sql/history_reverse.sql
	sqlHistoryReverse string
	//go:embed sql/repair.sql
	sqlRepair string
	//go:embed sql/remove.sql
	sqlRemove string
)
