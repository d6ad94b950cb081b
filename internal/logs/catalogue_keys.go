package logs

// hsms lists what HSMs cause.
func hsms() []Group {
	return []Group{
		{"HSMs", []Entry{
			{
				Message: "HSM signing fails; not asked until a probe succeeds",
				Levels:  []string{"error"},
				Fields:  []string{"hsm", "error"},
				Cause:   "An HSM failed several times in a row. The others sign; this one is probed with growing pauses.",
				Remedy:  "Check the HSM, its network and its session limit. The info line \"HSM signs again\" ends the incident.",
			},
			{
				Message: "HSM made a wrong signature; not released",
				Levels:  []string{"error"},
				Fields:  []string{"hsm", "kid"},
				Cause: "A signature did not verify with the published public key: the HSM is faulty, or a different key has the key's " +
					"address in it.",
				Remedy: "Take the HSM out of the configuration and compare the key (`countersign keys verify`) before it comes back.",
			},
			{
				Message: "HSM lacks a signing key",
				Levels:  []string{"error"},
				Fields:  []string{"hsm", "kid", "error"},
				Cause:   "An HSM that should hold a key does not find it: it was deleted, not replicated, or the login lacks rights.",
				Remedy:  "Copy the key with the vendor's tool, then run `countersign keys import-replica`.",
			},
			{
				Message: "HSM login needs an operator; the PIN is not sent again until it changes",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause: "The token refused the PIN, or says that it is locked, expired, or at its last try. The server stays up, is not " +
					"ready, and looks at the token every 10 seconds without sending a PIN that was refused. Logged once for each change of " +
					"the PIN's file.",
				Remedy: "Correct the PIN in its file; the server takes it within a second. For a locked token the security officer sets a new " +
					"PIN. If the PIN was right after all, remove the file that the error names. The info line \"token accepts the PIN again\" " +
					"ends the incident.",
			},
			{
				Message: "HSM unreachable; tried again until it is reached",
				Levels:  []string{"error"},
				Fields:  []string{"hsm", "error"},
				Cause:   "An HSM was not reached when the server started. The others sign; without another the server is not ready.",
				Remedy:  "Check the HSM and its network. The info line \"HSM reached\" ends the incident; nothing has to be restarted.",
			},
			{
				Message: "serving without the HSM; not ready until it is reached",
				Levels:  []string{"warn"},
				Fields:  []string{"version", "issuer", "address"},
				Cause:   "No HSM was reached within 3 seconds of the start: it is away, hangs, or refuses the PIN, as another line says.",
				Remedy:  "As for that line. `/health/ready` answers 200 when an HSM signs.",
			},
			{
				Message: "issuer not opened; will be retried",
				Levels:  []string{"error"},
				Fields:  []string{"issuer_name", "error"},
				Cause: "One of several issuers (docs/issuers.md) cannot be opened: its store is away or not migrated, or has the identity or " +
					"a key of another issuer's. Its host is answered 503, or as before where it was served with an older file; the other issuers " +
					"are served. Logged once for each reason.",
				Remedy: "The error says what: for a schema, `countersign migrate up --issuer NAME`; for a store that is another's or a copy " +
					"of it, give each issuer a store of its own. It is tried again every 5 seconds.",
			},
			{
				Message: "issuers not changed; keeping previous",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause: "The list of issuers in the main file, or one of their files, has changed and is wrong. Nothing of the change is " +
					"used: the issuers are served as before.",
				Remedy: "The error names the file, the line and the key. `countersign config print --issuer NAME` checks one. The files are " +
					"read again when they change, or on SIGHUP.",
			},
			{
				Message: "issuers not shown",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "Two issuers have the same host, which their configurations were checked for: a fault of the server.",
				Remedy:  "Report it, with the configurations' issuer and listen_mtls.url.",
			},
			{
				Message: "admin API not served; its issuer was not opened at the start",
				Levels:  []string{"error"},
				Cause: "The admin API is that of the main file's issuer, which could not be opened when the server started (the line " +
					"`issuer not opened; will be retried`).",
				Remedy: "Mend what that line says. The admin API is served when that issuer is.",
			},
			{
				Message: "listeners not as the configuration has them",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The main file's issuer was opened later than the others, and the listener of its admin API could not be.",
				Remedy:  "The error names the key. Free the address or choose another, and reload (SIGHUP).",
			},
			{
				Message: "token has fewer sessions than signer.sessions",
				Levels:  []string{"warn"},
				Fields:  []string{"count"},
				Cause: "The token opened only count sessions to sign in (CKR_SESSION_COUNT): it has no more, or others hold them. Signing " +
					"goes on in these, at most as many at once.",
				Remedy: "Lower signer.sessions to what the token has, or find what else holds sessions. Keys that decrypt need sessions of their own.",
			},
			{
				Message: "PKCS#11 worker lacked an active key that the token holds; replaced",
				Levels:  []string{"warn"},
				Fields:  []string{"pid"},
				Cause: "A worker had opened another token with the same label, or the token as it was before: a swap, a failover, a restored " +
					"backup. A new worker found the key that it lacked.",
				Remedy: "Nothing for single lines. If it goes on, make sure that one token only has the label, or add serial= to signer.token.",
			},
			{
				Message: "PKCS#11 worker did not start",
				Levels:  []string{"error"},
				Fields:  []string{"error", "in_a_row", "next_try_in"},
				Cause:   "The process that loads the PKCS#11 module ended early: the module cannot be loaded, or the HSM is unreachable.",
				Remedy:  "Check signer.module and the vendor's configuration; `countersign doctor` tries the module.",
			},
			{
				Message: "PKCS#11 worker failed while using a key; trying the next worker",
				Levels:  []string{"warn"},
				Fields:  []string{"kid", "error"},
				Cause:   "A worker died or lost its session during a signature. A new one took over.",
				Remedy:  "Nothing for single lines. If it goes on, check the HSM and the vendor's log.",
			},
			{
				Message: "PKCS#11 module hangs; worker killed",
				Levels:  []string{"error"},
				Fields:  []string{"pid"},
				Cause:   "The module did not return within signer.timeout.",
				Remedy:  "Check the HSM, its network and its load; raise signer.timeout only if the HSM is that slow.",
			},
			{
				Message: "server hangs; only a restart helps",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "error"},
				Cause: "The PKCS#11 module hangs in the server's own process (signer.backend = \"crypto11\"), in every session. " +
					"`/health/live` answers 503. Logged for each probe.",
				Remedy: "Restart the server, or have its supervisor do so by the liveness probe. The default backend needs no restart.",
			},
		}},
	}
}

// signingKeys lists what signing keys cause.
func signingKeys() []Group {
	return []Group{
		{"Signing keys", []Entry{
			{
				Message: "signing key reload failed; keeping previous keys",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "The store failed while the list of keys was read.",
				Remedy:  "Check the store. Key changes do not reach this node until it answers.",
			},
			{
				Message: "signing keys are in a development key file",
				Levels:  []string{"error"},
				Fields:  []string{"warning", "file"},
				Cause:   "signer.development_key_file is set: the keys are in a file, not in an HSM. Logged at every start, whatever the log level.",
				Remedy:  "In production, generate keys in an HSM and remove signer.development_key_file.",
			},
			{
				Message: "PKCS#11 module runs in the server process",
				Levels:  []string{"warn"},
				Fields:  []string{"warning"},
				Cause:   "signer.backend is crypto11: there is no worker process. A module that hangs or crashes takes the server with it.",
				Remedy:  "Use the default backend, unless the vendor's module needs this one.",
			},
			{
				Message: "key rotation is waiting for the next key on every HSM; copy it with the vendor's tool, then run countersign keys import-replica",
				Levels:  []string{"error"},
				Fields:  []string{"kid", "alg", "hsm_count"},
				Cause:   "The next key is on fewer HSMs than the active one (hsm_count), so that the schedule does not activate it.",
				Remedy:  "Copy the key with the vendor's tool, then run `countersign keys import-replica` for each HSM that lacks it.",
			},
			{
				Message: "key rotation failed; will be retried",
				Levels:  []string{"error"},
				Fields:  []string{"error"},
				Cause:   "The schedule could not generate or activate a key: the store or the HSM failed.",
				Remedy:  "Check both. The keys in use stay valid; act before the next key is due.",
			},
		}},
	}
}
