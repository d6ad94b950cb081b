package checklist

// fieldHSMs are about HSMs, their PINs and their modules.
func fieldHSMs() []Item {
	return []Item{
		{ID: "FD-90", Section: "PKCS #11 v3.1 §5.7.8, §4.8", Requires: "a token is searched until it gives no more objects; an empty list of allowed mechanisms says nothing"},
		{ID: "FD-91", Section: "PKCS #11 v3.1 §5.6.8", Requires: "a PIN that the token refused is not sent again, by no process, until it changes; a last try is not risked; the server stays up, and commands end with a code of their own"},
		{ID: "FD-92", Section: "PKCS #11 v3.1 §5.4", Requires: "the start of a worker has a limit of its own, and nobody waits for one that is overdue"},
		{ID: "FD-93", Section: "prctl(2), PR_SET_PDEATHSIG", Requires: "a worker dies with its server, wherever its module hangs, and is the very program that runs"},
		{ID: "FD-94", Section: "PKCS #11 v3.1 §5.5", Requires: "a worker that lacks an active key is replaced by one that has it, and disturbs no other key"},
		{ID: "FD-95", Section: "sd_notify(3)", Requires: "a server comes up before its HSM, not ready, and is ready when that is there"},
		{ID: "FD-96", Section: "NIST SP 800-57 part 1 §8.3", Requires: "the last key of an algorithm can be retired, with what ends told; the audit log is sealed with another"},
		{ID: "FD-97", Section: "RFC 7517 §5", Requires: "a key does not sign before copies of the key set without it have ended, given out late or by a clock that is behind"},
		{ID: "FD-98", Section: "Kubernetes, liveness probes", Requires: "liveness fails while a module hangs in the server's own process, and only then"},
		{ID: "FD-99", Section: "SoftHSM2", Requires: "an object file that an interruption left empty is found"},
	}
}
