// Package figures keeps what an operator watches and reports in tables of PostgreSQL, and reads it.
package figures

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/pool"
)

// Figures has the verbs of figures; see [store.Figures] and [store.Pooled].
type Figures struct {
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time with the precision that is stored.
	Moment func() time.Time
	// Connections is the pool.
	Connections *pool.Pool
}

// Pool returns what the connections do.
func (f Figures) Pool() store.Pool { return f.Connections.State() }

// Backlogs counts what waits, at most so many of each kind.
func (f Figures) Backlogs(ctx context.Context) (backlogs []store.Backlog, err error) {
	now := f.Moment()
	err = f.Read(ctx, "Backlogs", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT 1, $3::text, count(*), min(at) FROM (SELECT due_at AS at FROM pings WHERE due_at <= $1 ORDER BY due_at LIMIT $2) w
			UNION ALL SELECT 2, $4, count(*), min(at) FROM (SELECT due_at AS at FROM logouts WHERE due_at <= $1 ORDER BY due_at LIMIT $2) w
			UNION ALL SELECT 3, $5, count(*), min(at) FROM (SELECT due_at AS at FROM consent_notices WHERE due_at <= $1 ORDER BY due_at LIMIT $2) w
			UNION ALL SELECT 4, $6, count(*), min(at) FROM (SELECT at FROM audit_waiting ORDER BY id LIMIT $2) w
			ORDER BY 1`, now, store.MostBacklog, store.BacklogPings, store.BacklogLogouts, store.BacklogConsentNotices, store.BacklogEvidence)
		if err != nil {
			return err
		}
		backlogs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b store.Backlog, err error) {
			var place int
			var oldest *time.Time
			err = row.Scan(&place, &b.Kind, &b.Waiting, &oldest)
			if oldest != nil {
				b.Oldest = oldest.UTC()
			}
			return b, err
		})
		return err
	})
	return backlogs, err
}

// Standbys asks who follows this database. Without the role pg_monitor their lag is not shown, and they are left out.
func (f Figures) Standbys(ctx context.Context) (standbys []store.Standby, err error) {
	err = f.Read(ctx, "Standbys", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT application_name, coalesce(extract(epoch FROM replay_lag), 0)::float8 FROM pg_stat_replication
			WHERE state = 'streaming' ORDER BY application_name`)
		if err != nil {
			return err
		}
		standbys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s store.Standby, err error) {
			var seconds float64
			err = row.Scan(&s.Name, &seconds)
			s.Lag = time.Duration(seconds * float64(time.Second))
			return s, err
		})
		return err
	})
	return standbys, err
}

// AddServiceHours adds counts.
func (f Figures) AddServiceHours(ctx context.Context, hours ...store.ServiceHour) error {
	if len(hours) == 0 {
		return nil
	}
	rows := newColumns(len(hours))
	for i, hour := range hours {
		rows.set(i, hour)
	}
	return f.Run(ctx, "AddServiceHours", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO service_hours AS s (hour, endpoint, node, requests, refused, failed, took, minutes,
				le_10ms, le_25ms, le_50ms, le_100ms, le_250ms, le_500ms, le_1s, le_2s5, le_5s, slower)
			SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
				$9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
				$18::bigint[])
			ON CONFLICT (hour, endpoint, node) DO UPDATE SET requests = s.requests + excluded.requests, refused = s.refused + excluded.refused,
				failed = s.failed + excluded.failed, took = s.took + excluded.took, minutes = s.minutes | excluded.minutes,
				le_10ms = s.le_10ms + excluded.le_10ms, le_25ms = s.le_25ms + excluded.le_25ms, le_50ms = s.le_50ms + excluded.le_50ms,
				le_100ms = s.le_100ms + excluded.le_100ms, le_250ms = s.le_250ms + excluded.le_250ms, le_500ms = s.le_500ms + excluded.le_500ms,
				le_1s = s.le_1s + excluded.le_1s, le_2s5 = s.le_2s5 + excluded.le_2s5, le_5s = s.le_5s + excluded.le_5s, slower = s.slower + excluded.slower`,
			rows.arguments()...)
		return err
	})
}

// columns are the columns of rows.
type columns struct {
	hours            []time.Time
	endpoints, nodes []string
	counts           [15][]int64
}

func newColumns(rows int) *columns {
	c := &columns{hours: make([]time.Time, rows), endpoints: make([]string, rows), nodes: make([]string, rows)}
	for i := range c.counts {
		c.counts[i] = make([]int64, rows)
	}
	return c
}

func (c *columns) set(row int, h store.ServiceHour) {
	c.hours[row], c.endpoints[row], c.nodes[row] = h.Hour, h.Endpoint, h.Node
	for i, count := range []int64{int64(h.Requests), int64(h.Refused), int64(h.Failed), h.Took.Microseconds(), int64(h.Minutes)} {
		c.counts[i][row] = count
	}
	for i, count := range h.Latency {
		c.counts[5+i][row] = int64(count)
	}
}

func (c *columns) arguments() []any {
	all := []any{c.hours, c.endpoints, c.nodes}
	for _, column := range c.counts {
		all = append(all, column)
	}
	return all
}

// ServiceHours lists hours.
func (f Figures) ServiceHours(ctx context.Context, from, until time.Time) (hours []store.ServiceHour, err error) {
	err = f.Read(ctx, "ServiceHours", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT hour, endpoint, node, requests, refused, failed, took, minutes,
				le_10ms, le_25ms, le_50ms, le_100ms, le_250ms, le_500ms, le_1s, le_2s5, le_5s, slower
			FROM service_hours WHERE hour >= $1 AND hour < $2 ORDER BY hour, endpoint, node`, from, until)
		if err != nil {
			return err
		}
		hours, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h store.ServiceHour, err error) {
			var took, minutes int64
			l := &h.Latency
			err = row.Scan(&h.Hour, &h.Endpoint, &h.Node, &h.Requests, &h.Refused, &h.Failed, &took, &minutes,
				&l[0], &l[1], &l[2], &l[3], &l[4], &l[5], &l[6], &l[7], &l[8], &l[9])
			h.Hour, h.Took, h.Minutes = h.Hour.UTC(), time.Duration(took)*time.Microsecond, uint64(minutes)
			return h, err
		})
		return err
	})
	return hours, err
}
