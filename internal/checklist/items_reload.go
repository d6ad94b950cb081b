package checklist

// reloaded lists what changes of a server that runs, and how it reaches a database whose credentials change.
func reloaded() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Reload, and the credentials of the database",
		Items: []Item{
			{ID: "NM-85", Section: "issue N, 5", Requires: "every key of the configuration says whether a change of it needs a restart"},
			{ID: "NM-86", Section: "issue N, 5", Requires: "a new configuration is taken by SIGHUP, or when a file changes, without losing a request"},
			{ID: "NM-87", Section: "issue N, 5", Requires: "a wrong configuration is refused as a whole and named; the one before stays in use, and log, readiness and metrics say so"},
			{ID: "NM-88", Section: "issue N, 5", Requires: "nothing is taken of a file that is being written"},
			{ID: "NM-89", Section: "issue N, 5", Requires: "what needs a restart is named and keeps its value, and the rest is taken if it is right without it"},
			{ID: "NM-90", Section: "issue N, 5", Requires: "config check says what a reload would take, and changes nothing"},
			{ID: "NM-91", Section: "issue N, 5", Requires: "the password of the database is read again for each connection: from a file, or from what a program prints"},
			{ID: "NM-92", Section: "issue N, 5", Requires: "so is the certificate that is shown to the database"},
			{ID: "NM-93", Section: "PgBouncer, pool_mode", Requires: "poolers that keep sessions or transactions work; one that hands over each statement is refused by name"},
		},
	}}
}
