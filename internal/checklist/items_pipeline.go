package checklist

// pipelined is the group of verbs that share a transaction of PostgreSQL.
func pipelined() []Group {
	return []Group{{"FJ", "Transactions of several verbs", []Item{
		{ID: "FJ-01", Section: "PostgreSQL, pipeline mode", Requires: "verbs that wait together are one transaction, and a refused one takes no other along"},
		{ID: "FJ-02", Section: "PostgreSQL, lock_timeout", Requires: "neither a lock that one of them waits for nor a caller who hangs up keeps the others waiting or undone"},
		{ID: "FJ-03", Section: "RFC 9110 §15.6.4", Requires: "a commit whose answer is lost is told to each as not known, no write is repeated, reads are"},
		{ID: "FJ-04", Section: "PostgreSQL, deadlocks", Requires: "verbs that share a transaction lock in one order, on all nodes"},
	}}}
}
