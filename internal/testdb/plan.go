package testdb

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Plan is a node of EXPLAIN's JSON.
type Plan struct {
	Type  string `json:"Node Type"`
	Table string `json:"Relation Name"`
	Index string `json:"Index Name"`
	Plans []Plan `json:"Plans"`
}

// Walk visits the node and all below it.
func (p Plan) Walk(visit func(Plan)) {
	visit(p)

	for _, child := range p.Plans {
		child.Walk(visit)
	}
}

// Explain plans a statement as a prepared one: without knowing the arguments.
func Explain(tb testing.TB, conn *pgx.Conn, sql, args string) Plan {
	tb.Helper()

	run := func(sql string) {
		_, err := conn.Exec(tb.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(tb, err)
	}

	run("set plan_cache_mode = force_generic_plan")
	run("prepare hot as " + sql)
	defer run("deallocate hot")

	if args != "" {
		args = "(" + args + ")"
	}

	var text string
	require.NoError(tb, conn.QueryRow(tb.Context(), "explain (format json) execute hot"+args, pgx.QueryExecModeSimpleProtocol).Scan(&text))

	var plans []struct{ Plan Plan }
	require.NoError(tb, json.Unmarshal([]byte(text), &plans))

	return plans[0].Plan
}
