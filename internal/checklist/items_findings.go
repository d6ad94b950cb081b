package checklist

// findings lists what attacking the server found, each with what a test has to show.
func findings() []Item {
	return []Item{
		{ID: "FD-01", Section: "RFC 9126 §4", Requires: "what was checked at push is checked again when the request_uri is opened"},
		{ID: "FD-02", Section: "RFC 9126 §4", Requires: "it is checked again when the user decides, and a form allows what its page showed"},
		{ID: "FD-03", Section: "OpenID Connect Core §3.1.2.4", Requires: "a consent is as old as the page that it was given on"},
		{ID: "FD-04", Section: "CIBA Core §7", Requires: "backchannel requests are checked again when they are read and decided; forms decide about what their page showed"},
		{ID: "FD-05", Section: "CIBA Core §4, OpenID Connect Core §8.1", Requires: "neither redirect_uris of a CIBA client nor loopback addresses decide the sector"},
		{ID: "FD-06", Section: "CIBA Core §4", Requires: "a sector_identifier_uri of a CIBA client lists its jwks_uri"},
		{ID: "FD-07", Section: "RFC 9700 §4.11.2", Requires: "without a request of the client the browser is sent nowhere"},
		{ID: "FD-08", Section: "OpenID Connect Core §5.5", Requires: "the claims parameter gets nothing whose scope is not registered"},
		{ID: "FD-09", Section: "OpenID Connect Core §3.1.2.6", Requires: "prompt=none tells strangers nothing about who is signed in"},
		{ID: "FD-10", Section: "OpenID Connect Core §3.1.2.1", Requires: "prompt=login is satisfied by a sign-in for this request only"},
		{ID: "FD-11", Section: "RFC 9110 §9.3.2", Requires: "HEAD opens no request"},
		{ID: "FD-12", Section: "NIST SP 800-63B-4 §5", Requires: "a reset password ends sessions and pending enrolment codes"},
		{ID: "FD-13", Section: "NIST SP 800-63B-4 §5", Requires: "disabling and enabling end them too: none comes back"},
		{ID: "FD-14", Section: "NIST SP 800-63B-4 §5", Requires: "an operator can end the sessions of a user"},
		{ID: "FD-15", Section: "NIST SP 800-63B-4 §5", Requires: "grants and devices that go on are listed, and can be ended"},
		{ID: "FD-16", Section: "GDPR Article 5(2)", Requires: "the erasure of a user is in the audit log"},
	}
}

// fieldOperation lists what running the server in the field found: what it is built of, and what its log says.
func fieldOperation() []Item {
	return []Item{
		{ID: "FD-100", Section: "RFC 9110 §15.6.4", Requires: "what would be signed too late is refused at once; goodput stays, and no answer takes longer than the deadline"},
		{ID: "FD-101", Section: "RFC 9110 §15.6.4", Requires: "a refused request has consumed nothing; one that was signed once goes before others"},
		{ID: "FD-102", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "ready is a store that takes writes, told within 3 s"},
		{ID: "FD-103", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "ready is every key that signs lately; an HSM of several that is away is named"},
		{ID: "FD-104", Section: "OpenTelemetry SDK", Requires: "spans tell the time in a queue from the HSM's"},
		{ID: "FD-105", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "a connection that cannot be accepted is logged, once a minute"},
		{ID: "FD-106", Section: "RFC 9112 §9.6, RFC 9113 §6.8", Requires: "rolling restarts behind a load balancer lose no request"},
		{ID: "FD-107", Section: "OWASP ASVS 5.0 §15.2.2", Requires: "connections are bounded, and shared between networks"},
		{ID: "FD-108", Section: "RFC 5280 §4.2.1.10", Requires: "the development certificate is accepted by Envoy, below its constraints"},
		{ID: "FD-109", Section: "RFC 9110 §15.6.4", Requires: "what is away is told as what it is, to users too, with 503 and Retry-After"},
		{ID: "FD-110", Section: "RFC 7523 §3, RFC 9449 §11.1", Requires: "a used value stays used whatever clock a node has: the database's decides what expires and what is removed"},
		{ID: "FD-111", Section: "RFC 7523 §3", Requires: "a node 30 s or more from its database's clock says so, is not ready, answers 503, and comes back"},
		{ID: "FD-112", Section: "RFC 7523 §3", Requires: "a clock that is set forward and back makes no used value usable again (SQLite)"},
		{ID: "FD-113", Section: "PgBouncer, pool_mode", Requires: "behind a pooler in transaction mode every verb and every migration works"},
		{ID: "FD-114", Section: "PostgreSQL, NOTIFY", Requires: "notifications arrive by a direct address, or are seen not to arrive and polled for within a second, and said"},
		{ID: "FD-115", Section: "PostgreSQL, libpq passfile", Requires: "the database's password may change: each connection reads it again"},
		{ID: "FD-116", Section: "RFC 9325 §7.1", Requires: "certificate and key are reloaded as a pair, checked first; the previous stay otherwise, with a line"},
		{ID: "FD-117", Section: "RFC 9325 §7.1", Requires: "the ingress' CA and secrets, and what pings are sealed and shown with, are reloaded likewise"},
		{ID: "FD-118", Section: "daemon(7)", Requires: "SIGHUP reloads and never ends the server"},
		{ID: "FD-119", Section: "PgBouncer, pool_mode", Requires: "log, readiness and doctor say what a pooler or a clock keeps from working"},
		{ID: "FD-120", Section: "OWASP ASVS 5.0 §15.2.1", Requires: "a known vulnerability that the code reaches fails the tests, but for dated exceptions with a reason"},
		{ID: "FD-121", Section: "OWASP ASVS 5.0 §15.2.1", Requires: "the Go that builds the server is the pinned one, with the pinned digest"},
		{ID: "FD-122", Section: "OWASP ASVS 5.0 §16.2.1", Requires: "refusals that repeat are counted in the log, which a flood does not fill"},
		{ID: "FD-123", Section: "OWASP ASVS 5.0 §16.2.1", Requires: "the client's address is in each line, as the ingress tells it and not as the client does"},
		{ID: "FD-124", Section: "RFC 9110 §15", Requires: "a client that hangs up is no error of the server, and hides none"},
		{ID: "FD-125", Section: "RFC 8446 §4.4.3", Requires: "a handshake that is refused after its certificate was read is logged with the subject"},
		{ID: "FD-126", Section: "OpenTelemetry SDK", Requires: "probes and idle nodes are not traced, and a collector that is away costs few lines"},
		{ID: "FD-127", Section: "OWASP ASVS 5.0 §16.2.1", Requires: "each line that a request causes has its correlation id, the ones of its pings too"},
		{ID: "FD-128", Section: "RFC 6749 §4.1.2.1", Requires: "the reason of a denial is true: nobody signed in, or the user denied"},
	}
}

// firstDay lists what a first day of use found.
func firstDay() []Item {
	return []Item{
		{ID: "FD-130", Section: "operation", Requires: "serve, doctor and config print refuse the same configurations, and name what would be right"},
		{ID: "FD-131", Section: "operation", Requires: "clients add and update refuse what does not exist, with the nearest name; update shows what changes, remove what ends"},
		{ID: "FD-132", Section: "operation", Requires: "one command line: JSON of all that is listed, times by RFC 3339, exit codes 0, 1 and 2, users by name or subject"},
		{ID: "FD-133", Section: "RFC 7523 §3-7, RFC 9449 §11.1", Requires: "a restored database is not served while what was used since the backup could be used again"},
		{ID: "FD-134", Section: "FAPI-CIBA §7.1", Requires: "denying takes no passkey and no password; the last passkey goes after a page that says what then, and by being used"},
		{ID: "FD-135", Section: "RFC 9110 §12.5.1", Requires: "a browser gets a page at the issuer and where there is nothing, others get JSON; there is a favicon"},
		{ID: "FD-136", Section: "RFC 6797 §6.1", Requires: "HSTS for the host; for subdomains and preload lists only where it is configured, and never on localhost"},
		{ID: "FD-137", Section: "operation", Requires: "a set-up says what is laxer than the defaults, which ports differ, who can read it, and keeps its ports"},
		{ID: "FD-138", Section: "operation", Requires: "interrupted measurements leave no process and no file"},
		{ID: "FD-139", Section: "operation", Requires: "names of files are told and secrets are not; forms are compared with the issuer, and a wrong host is told; one primary button"},
	}
}
