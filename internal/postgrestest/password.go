package postgrestest

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// RequirePassword has the server of a database ask one role for its password.
func RequirePassword(t testing.TB, database, role string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// The server itself writes the file: the rule comes first, and the others stay.
	_, err = conn.Exec(t.Context(), `CREATE TEMP TABLE hba (line text, n int GENERATED ALWAYS AS IDENTITY);
		INSERT INTO hba (line) VALUES ('local all `+role+` scram-sha-256');
		DO $$ BEGIN
			INSERT INTO hba (line) SELECT l FROM regexp_split_to_table(pg_read_file(current_setting('hba_file')), E'\n') l;
			EXECUTE format('COPY (SELECT line FROM hba ORDER BY n) TO %L', current_setting('hba_file'));
			PERFORM pg_reload_conf();
		END $$`)
	if err != nil {
		t.Fatal(err)
	}
	// The postmaster reads it a moment later.
	for range 200 {
		other, err := pgx.Connect(t.Context(), strings.Replace(database, "user=postgres", "user="+role, 1)+"&password=wrong")
		if err != nil {
			return
		}
		_ = other.Close(t.Context())
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server asks for no password")
}
