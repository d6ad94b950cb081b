// Package figures keeps what an operator watches and reports in tables of SQLite, and reads it.
package figures

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// Figures has the verbs of figures; see [store.Figures].
type Figures struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Moment is the time.
	Moment func() time.Time
}

// Backlogs counts what waits, at most so many of each kind.
func (f Figures) Backlogs(ctx context.Context) (backlogs []store.Backlog, err error) {
	now := f.Moment().UnixMicro()
	err = f.Read(ctx, "Backlogs", func(c *connection.Conn) error {
		backlogs = nil
		for _, one := range []struct {
			kind, query string
			arguments   []any
		}{
			{store.BacklogPings, `SELECT count(*), min(due_at) FROM (SELECT due_at FROM pings WHERE due_at <= ? ORDER BY due_at LIMIT ?)`,
				[]any{now, store.MostBacklog}},
			{store.BacklogLogouts, `SELECT count(*), min(due_at) FROM (SELECT due_at FROM logouts WHERE due_at <= ? ORDER BY due_at LIMIT ?)`,
				[]any{now, store.MostBacklog}},
			{store.BacklogConsentNotices, `SELECT count(*), min(due_at) FROM (SELECT due_at FROM consent_notices WHERE due_at <= ? ORDER BY due_at LIMIT ?)`,
				[]any{now, store.MostBacklog}},
			{store.BacklogEvidence, `SELECT count(*), min(at) FROM (SELECT at FROM audit_waiting ORDER BY id LIMIT ?)`, []any{store.MostBacklog}},
		} {
			backlog := store.Backlog{Kind: one.kind}
			var oldest sql.NullInt64
			if err := c.Get(one.query, one.arguments, &backlog.Waiting, &oldest); err != nil {
				return err
			}
			if oldest.Valid {
				backlog.Oldest = time.UnixMicro(oldest.Int64).UTC()
			}
			backlogs = append(backlogs, backlog)
		}
		return nil
	})
	return backlogs, err
}

// AddServiceHours adds counts.
func (f Figures) AddServiceHours(ctx context.Context, hours ...store.ServiceHour) error {
	if len(hours) == 0 {
		return nil
	}
	return f.Write(ctx, "AddServiceHours", connection.Several, func(c *connection.Conn) error {
		for _, h := range hours {
			arguments := []any{
				h.Hour.UnixMicro(), h.Endpoint, h.Node, h.Requests, h.Refused, h.Failed, h.Took.Microseconds(), int64(h.Minutes),
			}
			for _, count := range h.Latency {
				arguments = append(arguments, count)
			}
			if _, err := c.Exec(`INSERT INTO service_hours (hour, endpoint, node, requests, refused, failed, took, minutes,
					le_10ms, le_25ms, le_50ms, le_100ms, le_250ms, le_500ms, le_1s, le_2s5, le_5s, slower)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (hour, endpoint, node) DO UPDATE SET requests = requests + excluded.requests, refused = refused + excluded.refused,
					failed = failed + excluded.failed, took = took + excluded.took, minutes = minutes | excluded.minutes,
					le_10ms = le_10ms + excluded.le_10ms, le_25ms = le_25ms + excluded.le_25ms, le_50ms = le_50ms + excluded.le_50ms,
					le_100ms = le_100ms + excluded.le_100ms, le_250ms = le_250ms + excluded.le_250ms, le_500ms = le_500ms + excluded.le_500ms,
					le_1s = le_1s + excluded.le_1s, le_2s5 = le_2s5 + excluded.le_2s5, le_5s = le_5s + excluded.le_5s,
					slower = slower + excluded.slower`, arguments...); err != nil {
				return err
			}
		}
		return nil
	})
}

// ServiceHours lists hours.
func (f Figures) ServiceHours(ctx context.Context, from, until time.Time) (hours []store.ServiceHour, err error) {
	err = f.Read(ctx, "ServiceHours", func(c *connection.Conn) error {
		hours = nil
		return c.EachOf(`SELECT hour, endpoint, node, requests, refused, failed, took, minutes,
				le_10ms, le_25ms, le_50ms, le_100ms, le_250ms, le_500ms, le_1s, le_2s5, le_5s, slower
			FROM service_hours WHERE hour >= ? AND hour < ? ORDER BY hour, endpoint, node`,
			[]any{from.UnixMicro(), until.UnixMicro()}, func(rows *sql.Rows) error {
				var h store.ServiceHour
				var hour, took, minutes int64
				l := &h.Latency
				err := rows.Scan(&hour, &h.Endpoint, &h.Node, &h.Requests, &h.Refused, &h.Failed, &took, &minutes,
					&l[0], &l[1], &l[2], &l[3], &l[4], &l[5], &l[6], &l[7], &l[8], &l[9])
				h.Hour, h.Took, h.Minutes = time.UnixMicro(hour).UTC(), time.Duration(took)*time.Microsecond, uint64(minutes)
				hours = append(hours, h)
				return err
			})
	})
	return hours, err
}
