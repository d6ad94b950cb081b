// Package managed lets grants take the place of others in PostgreSQL; see [store.Finish].
package managed

import (
	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// Replacing is what a statement that stores a grant does to the grant whose place that takes. The zero value does nothing. Its
// arguments are @replaces, @now and those of the new grant.
type Replacing struct {
	// ID is that of the grant that ends, or empty.
	ID string
}

// Queue locks the grant, before the statement: only one that begins afterwards sees what has ended it meanwhile.
func (r Replacing) Queue(batch *pgx.Batch) {
	if r.ID != "" {
		batch.Queue(`SELECT FROM grants WHERE id = $1 FOR UPDATE`, r.ID)
	}
}

const valid = `EXISTS (SELECT FROM grants p WHERE p.id = @replaces AND p.client_id = @grant_client_id AND p.subject = @grant_subject
				AND p.managed_id = @grant_managed_id AND p.revoked_at IS NULL AND p.expires_at > @now)`

// Guard is a condition for the statement: there is such a grant, and it is valid.
func (r Replacing) Guard() string {
	if r.ID == "" {
		return ""
	}
	return ` AND ` + valid
}

// After continues after the table of what was stored, which has a row if it was: the former grant ends, and what its user allowed its
// client is forgotten, unless consented says that it is stored again.
func (r Replacing) After(made, consented string) string {
	if r.ID == "" {
		return ""
	}
	return `), replaced AS (
				UPDATE grants p SET revoked_at = @now, revoked_by = '` + store.RevokedByReplacement + `' FROM ` + made + ` WHERE p.id = @replaces
			), unremembered AS (
				DELETE FROM consents k USING ` + made + ` WHERE k.subject = @grant_subject AND k.client_id = @grant_client_id AND NOT ` + consented + `
			`
}

// Result reports, as a column of the statement, whether there was such a grant.
func (r Replacing) Result() string {
	if r.ID == "" {
		return `TRUE`
	}
	return valid
}

// Former is the ID of the grant that ends, as an SQL expression.
func (r Replacing) Former() string {
	if r.ID == "" {
		return `''`
	}
	return `@replaces`
}

// Arguments adds that of the statement.
func (r Replacing) Arguments(into pgx.StrictNamedArgs) {
	if r.ID != "" {
		into["replaces"] = r.ID
	}
}
