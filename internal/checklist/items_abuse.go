package checklist

// abuse lists what those can do who have no secret, or one client's, and what must hold beside it.
func abuse() []Item {
	return []Item{
		{ID: "FD-60", Section: "NIST SP 800-63B-4 §3.2.2", Requires: "wrong passwords are limited by address and by name, on all nodes together, and a restart forgets none"},
		{ID: "FD-61", Section: "NIST SP 800-63B-4 §3.2.2", Requires: "strangers do not lock a user out of a browser in which that user has signed in before"},
		{ID: "FD-62", Section: "NIST SP 800-63B-4 §3.2.2", Requires: "a user takes at most 100 wrong passwords in a row, until a right one or an operator ends the row"},
		{ID: "FD-63", Section: "RFC 9700 §4", Requires: "beside a flood of wrong passwords honest users sign in within a second"},
		{ID: "FD-64", Section: "NIST SP 800-63B-4 §3.2.2", Requires: "a name that nobody has is limited and answered like one that somebody has"},
		{ID: "FD-65", Section: "NIST SP 800-63B-4 §3.2.2", Requires: "passwords at once are no way around the tries of an interaction"},
		{ID: "FD-66", Section: "RFC 6585 §4", Requires: "a page that looks at no password, because there were too many, is 429 with Retry-After"},
		{ID: "FD-67", Section: "RFC 9700 §4", Requires: "limits go by one clock for all nodes, and a store that fails neither opens nor closes the door"},
		{ID: "FD-68", Section: "NIST SP 800-63B-4 §3.2.2", Requires: "an operator sees who is locked, and ends it; the audit log has it"},
	}
}
