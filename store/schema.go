package store

import (
	"fmt"
	"time"
)

// Migration is one step of a database's schema.
type Migration struct {
	Version int64
	// Name is the step's file name without number and ending; empty when this program does not know the step.
	Name string
	// AppliedAt is zero while the step is pending.
	AppliedAt time.Time
	// Compatible is the version of the oldest program that works with the step: nodes of that release and later ones
	// can go on while it is applied.
	Compatible int64
}

// SchemaError reports that a database's schema is not the one that this program was built for.
type SchemaError struct {
	// System is the backend's name.
	System string
	// Have is the database's schema version and Want the program's.
	Have, Want int64
}

// Error says in one line what is wrong and what to run.
func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("%s: the database has schema version %d, which is newer than this program (%d): "+
			"run the release of countersign that migrated it, or a later one", e.System, e.Have, e.Want)
	}
	return fmt.Sprintf("%s: the database has schema version %d and this program needs %d: run `countersign migrate up`",
		e.System, e.Have, e.Want)
}

// ChangedError reports that a step of the schema is not the one that was applied to the database.
type ChangedError struct {
	// System is the backend's name.
	System string
	// Version is the step's.
	Version int64
}

// Error says in one line what is wrong.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s: step %d of the schema is not the one that was applied to this database: "+
		"the program or the database was tampered with; run a release of countersign as it was published", e.System, e.Version)
}
