package sqlreplay_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"countersign/rs/sqlreplay"
)

// The memory of proofs in a database that the nodes of an API share; in PostgreSQL with sql.Open("pgx", ...).
func ExampleNew() {
	ctx := context.Background()
	db, err := sql.Open("sqlite3", "file::memory:?cache=shared")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	replay, err := sqlreplay.New(ctx, db, sqlreplay.SQLite, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// rs.Config{..., Replay: replay}; the guard then calls it for each proof:
	proof, until := [32]byte{1, 2, 3}, time.Now().Add(2*time.Minute)
	for range 2 {
		fmt.Println(replay.Use(ctx, proof, until))
	}
	// Output:
	// true <nil>
	// false <nil>
}
