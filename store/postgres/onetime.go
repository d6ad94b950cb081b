package postgres

import (
	"time"

	"countersign/store"
)

// A used value is remembered in the partition of each ten minutes from its use to its end: usually one, sometimes two.
// No index spans partitions, and none needs to: a replay of the value, in any artefact and
// with any end, comes while it is remembered, and so writes into at least one partition that has it; the primary
// key of that partition lets one of the two through. The same artefact meets itself in the partition of its end, which
// depends on no clock; the margin below takes in that the clocks of two nodes differ.
const (
	oneTimeBucket = 10 * time.Minute
	oneTimeMargin = time.Minute
	// oneTimeKeep is how long a partition stays after its end, by the database's clock; insertOneTimes says it again.
	oneTimeKeep = 2 * oneTimeMargin
	// maxBuckets bounds how long a value can be remembered: a day.
	maxBuckets = int(24 * time.Hour / oneTimeBucket)
)

// insertOneTimes consumes values from three parallel arrays; a row that it is joined with is a condition, and
// inOneOrder ends it, so that two calls cannot wait for each other. A value that is there already fails the whole
// statement (see [outcome]). So does one whose partition may have been dropped, by the database's clock: it may have been used.
// That is a check, in the statement that holds the lock which dropping has to wait for, and so no node can be wrong about it.
const (
	insertOneTimes = `INSERT INTO uses (kind, key, until)
		SELECT u.kind, u.key, CASE WHEN u.until > coalesce(@database_now::timestamptz, clock_timestamp()) - interval '2 minutes' THEN u.until END
		FROM unnest(@kinds::text[], @keys::bytea[], @untils::timestamptz[]) AS u (kind, key, until)`
	inOneOrder = ` ORDER BY 1, 2, 3`
)

// oneTimeArrays returns the rows of uses as insertOneTimes takes them at a time: for each value one for each ten minutes.
func oneTimeArrays(now time.Time, oneTimes []store.OneTime) (kinds []string, keys [][]byte, untils []time.Time) {
	if len(oneTimes) == 0 {
		return []string{}, [][]byte{}, []time.Time{}
	}
	begin := now.Add(-oneTimeMargin).Truncate(oneTimeBucket)
	for i := range oneTimes {
		last := oneTimes[i].Until.UTC().Truncate(oneTimeBucket)
		for start, n := last, 0; n == 0 || !start.Before(begin) && n < maxBuckets; start, n = start.Add(-oneTimeBucket), n+1 {
			kinds, keys, untils = append(kinds, oneTimes[i].Kind), append(keys, oneTimes[i].Key[:]), append(untils, oneTimeRow(start))
		}
	}
	return kinds, keys, untils
}

// oneTimeRow is the time stored for the ten minutes that begin at start: their last microsecond.
func oneTimeRow(start time.Time) time.Time { return start.Add(oneTimeBucket - time.Microsecond) }
