package logs

// auditLog lists what the audit log causes.
func auditLog() []Group {
	return []Group{
		{"Audit log", []Entry{
			{
				Message: "audit",
				Levels:  []string{"warn", "error"},
				Fields:  []string{"event", "client_address", "method", "path", "repeated", "chain", "from", "to", "error"},
				Cause: "A security event, also in the audit log. At warn, a request was refused: `client_certificate_forged` (a forwarded " +
					"certificate from elsewhere than the ingress), `client_certificate_unreadable`. At error: `audit_log_cut` (the log is " +
					"shorter than what this process wrote).",
				Remedy: "For refused requests, check that client_address is not your own ingress; if it is, its configuration does not fit " +
					"listen_mtls. For audit_log_cut, treat the database as tampered with, or restored from an older backup: compare " +
					"with kept checkpoints (`countersign audit verify --checkpoint`).",
			},
			{
				Message: "audit log append failed; will be retried",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "Pending evidence was not written to this node's chain, or no checkpoint could be signed. Evidence stays pending and is not lost.",
				Remedy:  "Check the store, and that a key for evidence is active.",
			},
			{
				Message: "security event not recorded in the audit log",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "client_id", "event", "error"},
				Cause:   "The store failed after a change was made; the audit log lacks the event.",
				Remedy:  "Keep this line as its record. Check the store.",
			},
		}},
	}
}

// operation lists what the process, its files and its listeners cause.
func operation() []Group {
	return []Group{
		{"Operation", []Entry{
			{
				Message: "server not ready",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "part", "error"},
				Cause: "A readiness probe found that nothing can be written to the store (disk full or frozen, tables locked, no " +
					"connection), or that an active key cannot be used; `/health/ready` answers 503. Logged when it begins or its kind " +
					"changes, then once a minute; the info line \"server ready again\" ends it.",
				Remedy: "Check that part. The load balancer sends requests to other nodes meanwhile.",
			},
			{
				Message: "HSM does not sign; the others do",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "hsm", "error"},
				Cause: "A readiness probe found that one of several HSMs does not sign; `/health/ready` says `degraded`. Logged once, then " +
					"once a minute; the info line \"HSM signs again\" ends it.",
				Remedy: "Bring the HSM back before another fails: its error says what keeps it.",
			},
			{
				Message: "connections are not accepted",
				Levels:  []string{"error"},
				Fields:  []string{"error", "repeated"},
				Cause: "The system gives the process no further connection; mostly `too many open files`. It is tried again at once, " +
					"and logged once a minute.",
				Remedy: "Raise the limit of open files (LimitNOFILE= in the unit), or lower `limits.connections`, so that room is left for " +
					"files and workers.",
			},
			{
				Message: "connection limit reached; resting connections are closed",
				Levels:  []string{"warn"},
				Fields:  []string{"count"},
				Cause: "As many connections are open as `limits.connections` allows, or the limit of open files leaves. The network with the " +
					"most gives up those that rest. Logged once a minute.",
				Remedy: "If there really are so many clients, raise the limit of open files. One network with most of them floods: block it at " +
					"the ingress.",
			},
			{
				Message: "client certificate refused",
				Levels:  []string{"warn"},
				Fields:  []string{"client_address", "certificate_subject", "client_id", "error", "repeated"},
				Cause: "With client_id: the client sent no certificate, or one that is not trusted here or is not the registered " +
					"one; the answer was `invalid_client` with the reason. Without: the certificate cannot be used at all, since Go's TLS " +
					"does not parse it or its kind of key is not accepted; the client met a TLS alert, or 400 behind an ingress. Of a " +
					"certificate that a handshake does not parse the subject cannot be read. The same certificate from the same network " +
					"is logged once; after a minute one line has the number of times since (repeated).",
				Remedy: "`countersign doctor certificate FILE` says all about a certificate; docs/certificates.md lists what is accepted. " +
					"Compare the subject with `countersign clients show`, and the issuer with `client_ca_file`.",
			},
			{
				Message: "more client certificates refused",
				Levels:  []string{"warn"},
				Fields:  []string{"count"},
				Cause:   "More than 100 different client certificates were refused in a minute; so many refusals are not logged one by one.",
				Remedy:  "As for the lines before it. Many different ones are a scanner.",
			},
			{
				Message: "configuration laxer than the defaults",
				Levels:  []string{"warn"},
				Fields:  []string{"keys"},
				Cause: "The configuration, such as that of `countersign init --dev`, has values that protect less than the defaults; keys lists " +
					"them. Logged once at every start.",
				Remedy: "In production, take them out of the file, unless you know why they are there.",
			},
			{
				Message: "issuer and listener have different ports",
				Levels:  []string{"warn"},
				Fields:  []string{"issuer", "address"},
				Cause:   "The issuer is on this machine at another port than `listen.address`: usually one of them was changed and the other forgotten. Logged once at every start.",
				Remedy:  "Change the other too. Ignore it where something on this machine forwards the one port to the other.",
			},
			{
				Message: "client CA certificate left out",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "A certificate in a file of client CAs or intermediates cannot be used. The others in the file are.",
				Remedy:  "Replace or remove it. Clients that only it vouches for are not trusted.",
			},
			{
				Message: "certificate revocation check failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "A CRL or OCSP responder of a client CA could not be read, or its answer is not valid.",
				Remedy:  "Check that the server reaches the address in the error. With revocation `soft` certificates are accepted meanwhile, with `hard` they are refused.",
			},
			{
				Message: "client CA reload failed; keeping previous CAs",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "A file with client CAs was changed and cannot be read or parsed.",
				Remedy:  "Correct the file. It is read again within seconds.",
			},
			{
				Message: "limits not counted in the database; counted on this node",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause: "The store did not answer. Until it does, each node counts failed sign-ins and other limited events by itself, " +
					"from what it has seen: limits are at most as many times as wide as there are nodes.",
				Remedy: "Restore the store. Nobody is refused because of it.",
			},
			{
				Message: "configuration reload refused; keeping previous",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause: "The configuration file, or a file that it names, was changed and is wrong, or what it says cannot be put into use. " +
					"The error names each problem with file, line and key. The server goes on with what it had; readiness shows a warning.",
				Remedy: "Correct the file (`countersign config check`). It is read again when it changes, or at once by SIGHUP. " +
					"What the error calls possible by a restart alone needs one.",
			},
			{
				Message: "configuration changes not taken; restart to take them",
				Levels:  []string{"warn"},
				Fields:  []string{"keys"},
				Cause:   "The configuration was read again and is in use, except for these keys, which a server takes only when it starts.",
				Remedy:  "Restart the nodes one by one when it suits.",
			},
			{
				Message: "file reload failed; keeping previous",
				Levels:  []string{"error"},
				Fields:  []string{"error", "key"},
				Cause:   "A certificate, a key, a secret or the database's URL was changed and cannot be read or used. Of a pair, such as a certificate and its key, perhaps only one was.",
				Remedy:  "Correct the files. They are read again within seconds, or at once by SIGHUP.",
			},
			{
				Message: "clock differs from the database's; not serving",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "The clock of this machine is 30 s or more from that of the database, or was set back behind what was removed by it (SQLite). Readiness answers 503, and so does everything that depends on time.",
				Remedy:  "Keep the clocks of this machine and of the database by NTP. The server serves again within a second.",
			},
			{
				Message: "database notifications do not arrive; polling for changes",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "What other nodes change is not notified to this one: a pooler such as PgBouncer is in between, or the database is away. Changes are polled for, once a second.",
				Remedy:  "Behind a pooler set store.notify_url_file to a URL that reaches the database directly.",
			},
			{
				Message: "database sessions cannot be set up",
				Levels:  []string{"warn"},
				Fields:  []string{"warning"},
				Cause:   "A pooler is in front of the database, and the database role has no time limits of its own.",
				Remedy:  "Run the statements in the line once, as the server's database role.",
			},
			{
				Message: "purge of expired records failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "Expired records were not deleted.",
				Remedy:  "Check the store, and its free space if it goes on for hours.",
			},
			{
				Message: "requests aborted at shutdown timeout",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "Requests were still running when the shutdown timeout ended.",
				Remedy:  "Raise shutdown_timeout if it happens at every stop.",
			},
			{
				Message: "trace export failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error", "dropped_spans", "next_try_in"},
				Cause: "The OTLP endpoint did not take the traces. Requests are not affected. It is asked again after a while, which " +
					"doubles up to five minutes; spans are dropped until then, and counted.",
				Remedy: "Check telemetry.otlp_endpoint and the collector.",
			},
			{
				Message: "final trace export failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The OTLP endpoint did not take the traces that were left when the server stopped.",
				Remedy:  "Check telemetry.otlp_endpoint and the collector.",
			},
			{
				Message: "metric export failed; will be retried",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause: "The OTLP endpoint did not take the metrics. Said once until it does again; counts are cumulative, and what was " +
					"not sent is in the next message.",
				Remedy: "Check telemetry.otlp_endpoint and the collector.",
			},
			{
				Message: "final metric export failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The OTLP endpoint did not take the metrics that were left when the server stopped, or their listener did not close.",
				Remedy:  "Check telemetry.otlp_endpoint and the collector.",
			},
			{
				Message: "metrics listener close failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The listener for metrics could not be closed when the server ended.",
				Remedy:  "None: its port is free when the process has ended.",
			},
			{
				Message: "admin request refused",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "client_address", "operator", "method", "route", "status", "took", "outcome", "error"},
				Cause: "A request to the admin API was refused: `outcome` is the code of the problem document. With operator_unknown or " +
					"certificate_untrusted the operator is empty: somebody came with a certificate that is nobody's.",
				Remedy: "For role_missing and operator_unknown look at `[[admin.operators]]`. When nobody of yours was it, find out who has " +
					"certificates of admin.client_ca_file, and who reaches the listener.",
			},
			{
				Message: "admin request failed",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "client_address", "operator", "method", "route", "status", "took", "outcome", "error"},
				Cause:   "A request to the admin API was answered 5xx: usually the store or the HSM, which `error` names.",
				Remedy:  "As for a line of a request with 5xx. Nothing is half done: what was changed is in the audit log.",
			},
			{
				Message: "admin connection refused",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause: "A connection to the admin API ended in its handshake: no certificate was shown, one that is not trusted, or plain text was " +
					"spoken; or a file of `[admin]` cannot be read.",
				Remedy: "Check the operator's certificate against admin.client_ca_file. Repeated lines from nobody of yours: limit who reaches the listener.",
			},
			{
				Message: "metrics are not served any more",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "The listener of metrics.listen failed. Clients are served on.",
				Remedy:  "Restart the node when that suits; its metrics are missing until then.",
			},
			{
				Message: "console page not shown",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "error", "path"},
				Cause:   "The store, or the audit log in it, did not answer. A page about a person is shown only after it is recorded who looks.",
				Remedy:  "See what the error says of the store.",
			},
			{
				Message: "console page not rendered",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "error", "page"},
				Cause:   "A template of the console is broken: only in a build that was changed.",
				Remedy:  "Report it, with the error.",
			},
			{
				Message: "service hours not stored; will be retried",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause: "The store did not take what was counted for the report of availability. Said once until it does again; it is counted " +
					"further, and stored then.",
				Remedy: "Check the store as for 5xx answers.",
			},
			{
				Message: "refusals not kept for countersign why",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The store did not take why requests were refused. Said once until it does again; the log has them.",
				Remedy:  "Check the store as for 5xx answers.",
			},
			{
				Message: "systemd notification failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The socket in NOTIFY_SOCKET did not take the state of the service.",
				Remedy:  "Check NotifyAccess of the unit, and that the socket is visible in the server's mount namespace.",
			},
			{
				Message: "systemd watchdog not served",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "WATCHDOG_USEC or WATCHDOG_PID in the environment is no number, so systemd is not told that the server lives.",
				Remedy:  "Leave both to systemd; set WatchdogSec= in the unit.",
			},
			{
				Message: "store close failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "Closing the database failed when the server stopped. Committed data is safe.",
				Remedy:  "Check the store before the next start.",
			},
			{
				Message: "HSM close failed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "A PKCS#11 worker did not end by itself when the server stopped, and was killed.",
				Remedy:  "Nothing for single lines. If it happens at every stop, check for open sessions in the HSM.",
			},
		}},
	}
}
