package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// Covers: NM-07. The store knows its connections, and who follows its database; a role that may not see that is shown nobody.
func TestPoolAndStandbys(t *testing.T) {
	address := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: address, MaxConnections: 3})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a pool", func(t *testing.T) {
		pool := s.Pool()
		if pool.Most != 3 || pool.Used+pool.Idle < 1 || pool.Used+pool.Idle > 3 || pool.Waiting != 0 || pool.Refused != 0 {
			t.Errorf("%+v", pool)
		}
	})
	t.Run("refuses a standby where there is none", func(t *testing.T) {
		if standbys, err := s.Standbys(t.Context()); err != nil || len(standbys) != 0 {
			t.Errorf("%v, %v", standbys, err)
		}
	})
	cluster.Standby(t)
	t.Run("accepts a standby", func(t *testing.T) {
		standbys, err := s.Standbys(t.Context())
		if err != nil || len(standbys) != 1 || standbys[0].Name == "" || standbys[0].Lag < 0 || standbys[0].Lag > time.Minute {
			t.Errorf("%+v, %v", standbys, err)
		}
	})
	t.Run("refuses to guess for a role without pg_monitor", func(t *testing.T) {
		execute(t, address, "CREATE ROLE unprivileged LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO unprivileged; GRANT ALL ON SCHEMA public TO unprivileged")
		t.Cleanup(func() {
			executeAs(context.Background(), t, address, "DROP OWNED BY unprivileged; DROP ROLE unprivileged")
		})
		weak := opened(t, postgres.Config{URL: strings.Replace(address, "user=postgres", "user=unprivileged", 1), MaxConnections: 1})
		if standbys, err := weak.Standbys(t.Context()); err != nil || len(standbys) != 0 {
			t.Errorf("%+v, %v", standbys, err)
		}
	})
	var _ store.Pooled = s
}
