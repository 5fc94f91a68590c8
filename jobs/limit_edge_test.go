package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// A lane's name is a user's text, the last character of Unicode included.
func TestNoLaneOfAPausedFunctionHidesThoseBehindIt(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	for _, function := range []string{"aa", "aa.b", "zz"} {
		require.NoError(t, StoreLimits(t.Context(), db.Pool, function, Limits{Concurrency: 9, ConcurrencyKey: "input"}))
		insertLimited(t, db, function, `"\udbff\udfffx"`, 1)
		insertLimited(t, db, function, `"\u0001"`, 1)
	}

	exec(t, db, functionPauseSQL, "aa")

	claims := claimed(t, testClaimer(db, "a"), 10)
	require.Len(t, claims, 4)

	for _, a := range claims {
		require.NotEqual(t, "aa", a.function)
	}

	// From wherever the round stands.
	exec(t, db, functionPauseSQL, "zz")

	c := testClaimer(db, "a")
	require.Empty(t, claimed(t, c, 10))
	insertLimited(t, db, "aa.b", `"new"`, 1)
	require.Len(t, claimed(t, c, 10), 1)
}

// What a slow rate has put off for long is nothing to the fast one that comes after it.
func TestAFasterRateActsAtOnce(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	c := testClaimer(db, "a")
	set := func(rate Rate) { require.NoError(t, StoreLimits(t.Context(), db.Pool, "mail", Limits{Rate: rate})) }

	insertLimited(t, db, "mail", `{}`, 10)
	set(Rate{Limit: 1, Period: MaxRatePeriod})
	require.Len(t, claimed(t, c, 10), 1)
	require.Empty(t, claimed(t, c, 10))
	set(Rate{Limit: MaxRate, Period: time.Second, Burst: 1})
	require.Len(t, claimed(t, c, 1), 1)
	set(Rate{Limit: 1, Period: time.Hour, Burst: 3})
	require.NotEmpty(t, claimed(t, c, 10))
	set(Rate{Limit: 1, Period: time.Minute})
	require.Len(t, claimed(t, c, 10), 1, "and begins with one")
	require.Empty(t, claimed(t, c, 10))
}

// Every rate that is accepted can be reckoned with: an error in it would be one for all lanes of the queue.
func TestExtremeRates(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	c := testClaimer(db, "a")

	insertLimited(t, db, "mail", `{}`, 200)

	accepted := 0

	for _, limit := range []int{1, 999_999, MaxRate} {
		for _, period := range []time.Duration{MinRatePeriod, time.Second, MaxRatePeriod} {
			for _, burst := range []int{0, 1, 100, MaxRate} {
				limits := Limits{Rate: Rate{Limit: limit, Period: period, Burst: burst}}
				if limits.Validate() != nil {
					continue
				}

				accepted++

				require.NoError(t, StoreLimits(t.Context(), db.Pool, "mail", limits))

				for range 2 {
					_, err := c.claim(t.Context(), DefaultQueue, 2)
					require.NoError(t, err, "%+v", limits)
				}
			}
		}
	}

	require.Greater(t, accepted, 15)
	require.ErrorContains(t, Limits{Rate: Rate{Limit: 1, Period: MaxRatePeriod, Burst: MaxRate}}.Validate(), "burst")
}

// Postgres counts microseconds. A rate that is no whole number of them is kept by rounding up.
func TestARateIsNotRoundedToAFasterOne(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "mail", Limits{Rate: Rate{Limit: 700_000, Period: time.Second, Burst: 100}}))
	insertLimited(t, db, "mail", `{}`, 70)
	require.Len(t, claimed(t, testClaimer(db, "a"), 70), 70)

	var micros int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select extract(epoch from r.arrival - j.attempted_at) * 1000000
		from millrace.function_rate r, (select attempted_at from millrace.river_job limit 1) j`).Scan(&micros))
	require.GreaterOrEqual(t, micros, 100)
}

// A claim holds rows of several keys. Who forgets old ones must not wait for it while it waits for them.
func TestForgettingRatesWaitsForNoClaim(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	exec(t, db, "insert into millrace.function_rate values ('mail', 'a', now() - interval '1 hour'), ('mail', 'b', now() - interval '1 hour')")

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()

	_, err = tx.Exec(t.Context(), "update millrace.function_rate set arrival = now() where key = 'b'")
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	tag, err := db.Pool.Exec(ctx, limitsForgetSQL)
	require.NoError(t, err)
	require.Equal(t, int64(1), tag.RowsAffected())
}
