package sequencer

import _ "embed" // the statements

// The statements, one a file; each says what it is for.
var (
	//go:embed sql/session.sql
	sqlSession string
	//go:embed sql/pin.sql
	sqlPin string
	//go:embed sql/check.sql
	sqlCheck string
	//go:embed sql/takeover.sql
	sqlTakeover string
	//go:embed sql/ended_term.sql
	sqlEndedTerm string
	//go:embed sql/fence.sql
	sqlFence string
	//go:embed sql/take.sql
	sqlTake string
	//go:embed sql/waiting.sql
	sqlWaiting string
	//go:embed sql/writers.sql
	sqlWriters string
	//go:embed sql/write.sql
	sqlWrite string
	//go:embed sql/tops.sql
	sqlTops string
	//go:embed sql/keys.sql
	sqlKeys string
	//go:embed sql/handover.sql
	sqlHandover string
	//go:embed sql/still_waiting.sql
	sqlStillWaiting string
	//go:embed sql/published.sql
	sqlPublished string
	//go:embed sql/left_out.sql
	sqlLeftOut string
	//go:embed sql/find_handover.sql
	sqlFindHandover string
	//go:embed sql/session_alive.sql
	sqlSessionAlive string
	//go:embed sql/last_id.sql
	sqlLastID string
	//go:embed sql/snapshot.sql
	sqlSnapshot string
	//go:embed sql/trim.sql
	sqlTrim string
	//go:embed sql/sweep_page.sql
	sqlSweepPage string
	//go:embed sql/expire_keys.sql
	sqlExpireKeys string
	//go:embed sql/expire_channels.sql
	sqlExpireChannels string
	//go:embed sql/fresh_epoch.sql
	sqlFreshEpoch string
	//go:embed sql/expire_terms.sql
	sqlExpireTerms string
)

// The classes of the advisory locks; the second half of each key is the shard.
const (
	electionLock = 1835627377
	gateLock     = 1835625580
)

const (
	sqlTryLock  = "select pg_catalog.pg_try_advisory_lock($1, $2)"
	sqlTryPin   = "select pg_catalog.pg_try_advisory_xact_lock($1, $2)"
	sqlWhere    = "select pg_catalog.pg_backend_pid(), pg_catalog.now()"
	sqlUnlock   = "select pg_catalog.pg_advisory_unlock($1, $2)"
	sqlAsync    = "set local synchronous_commit = off"
	sqlBegin    = "begin isolation level read committed"
	sqlCommit   = "commit"
	sqlRollback = "rollback"
	thisShard   = int16(0) // one shard a database: more gained nothing, all notifying commits share a lock
	sessionName = "millrace sequencer"
)
