package pool

import (
	"context"
	"crypto/rand"

	"github.com/jackc/pgx/v5"
)

// probeSize is how much [Probe] writes, in bytes: more than what a page of a full disk may have left.
const probeSize = 4 << 10

// Probe fails unless the database takes writes, into each table that requests write to. It writes a row of its own, which stays
// one.
func Probe(ctx context.Context, c *pgx.Conn) error {
	probe := make([]byte, probeSize)
	rand.Read(probe) // never fails
	batch := &pgx.Batch{}
	for _, table := range []string{
		"uses", "requests", "interactions", "codes", "access_tokens", "grants", "refresh_tokens", "sessions", "audit_waiting",
	} {
		// It changes nothing, and waits for the lock that a change would need.
		batch.Queue("DELETE FROM " + table + " WHERE false")
	}
	batch.Queue("INSERT INTO seeds (name, value) VALUES ('readiness', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value", probe)
	return c.SendBatch(ctx, batch).Close()
}
