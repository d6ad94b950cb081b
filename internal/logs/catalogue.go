package logs

import "slices"

// Groups lists the messages of the levels warn and error, in the order of the page.
func Groups() []Group {
	return slices.Concat(requests(), keys(), operation())
}

// requests lists what requests of clients and users cause.
func requests() []Group {
	return []Group{
		{"Requests", []Entry{
			{
				Message: "request",
				Levels:  []string{"error"},
				Fields: []string{
					"correlation_id", "client_address", "method", "route", "client_id", "status", "outcome", "took", "cause",
					"repeated",
				},
				Cause: "The line of each request; it is an error when the answer was 5xx. The field cause says why: usually the " +
					"store (`store: the database is not available`, `store: overloaded`), the HSM (`signer: the HSM is not available`, " +
					"`signer: too many signatures are waiting`), a missing key (`signer: no key`), a deadline " +
					"(`context deadline exceeded`), or a panic.",
				Remedy: "Search for other lines with the same correlation_id and time. Check that readiness (`/health/ready`) " +
					"is ok, that the database answers and that the HSM signs (`countersign doctor`). With `no key`, generate and " +
					"activate a key for the algorithm that the client registered. A single line at a failover needs no action.",
			},
			{
				Message: "refused requests not logged one by one",
				Levels:  []string{"warn"},
				Fields:  []string{"count"},
				Cause: "More than 2,000 different refusals (by network, client, endpoint and reason) came within ten seconds: so many " +
					"refused requests have no line.",
				Remedy: "Somebody floods the server from many addresses: limit them in front of it. At log_level debug each request has its line.",
			},
			{
				Message: "panic in request handler",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "panic", "stack"},
				Cause:   "A bug. The client got a 500 and the server goes on.",
				Remedy:  "Report the line with its stack.",
			},
			{
				Message: "page not rendered",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "page", "error"},
				Cause:   "A template failed: a bug or a broken build. The user got a 500.",
				Remedy:  "Check that the binary is the released one; report the line.",
			},
			{
				Message: "one-time values of a refused request not recorded",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "client_id", "error"},
				Cause: "The store did not record the jti of the client assertion or DPoP proof of a request that was refused. " +
					"The client could send the same values once more while they are valid.",
				Remedy: "Check the store as for 5xx answers. The values end by themselves within minutes.",
			},
			{
				Message: "registration access token used without the certificate of its organisation",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "client_id", "organisation", "error"},
				Cause: "Somebody presented the right registration access token of a client, without the certificate that it is " +
					"bound to. The request was refused. The token may be stolen, or the organisation calls the wrong listener.",
				Remedy: "Ask the organisation. If it was not the caller, disable the client and have it register again.",
			},
			{
				Message: "approval app claimed more than it may",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "subject", "device_id", "enrolled_acr", "reason"},
				Cause: "An approval app said that it had authenticated its user more strongly than it may claim by the sign-in " +
					"under which it was enrolled (`[approval_apps]`). The decision was refused. Either the app does not know its " +
					"level, which the answer to the enrolment tells, or somebody enrolled it with a stolen password.",
				Remedy: "Ask the user about the app (`countersign devices list`), and remove it if it is unknown. Otherwise the " +
					"user signs in with a passkey and enrols it again, or its developer has it claim what `amr_values` lists.",
			},
			{
				Message: "client suspended by its directory",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "directory", "organisation", "software", "reason"},
				Cause: "A directory of participants ([[directories]]) lists the client's participant, or its software, as one that may not " +
					"take part, or lists it no more. The client is refused at every endpoint and its tokens are dead, until it is restored; " +
					"the audit log has it too.",
				Remedy: "None: the directory decides. If it is wrong, its participant has to settle that there. `client restored by its " +
					"directory` (level info) ends it.",
			},
			{
				Message: "directory document not stored; a node that starts now lacks it",
				Levels:  []string{"warn"},
				Fields:  []string{"directory", "document", "error"},
				Cause: "What a directory published was read, and the store did not keep it. A node that starts while the directory is away " +
					"cannot verify its statements.",
				Remedy: "Check the store as for 5xx answers. It is tried again at each refresh.",
			},
			{
				Message: "directory not read; what it said last counts",
				Levels:  []string{"warn"},
				Fields:  []string{"directory", "document", "last_read", "outage", "error"},
				Cause: "A directory's keys or its lists could not be read, or are no such documents; a list that lost more than half of what " +
					"it had counts as a fault. Logged once until it can be read again. Keys are used for `outage` after they were last read; " +
					"then registrations with its statements are answered 503. Statuses stay as they are.",
				Remedy: "The error says why. Is the address reachable from the node, its certificate of directories.ca_file, the header of " +
					"authorization_file, or the certificate at token_address, valid? `countersign doctor` asks it. `directory read again` (level info) ends it.",
			},
			{
				Message: "standings of a directory not applied; will be tried again",
				Levels:  []string{"error"},
				Fields:  []string{"directory", "error"},
				Cause: "A directory's lists were read, and the store could not suspend or restore the clients that they are about. Suspended " +
					"participants may still be served by this node's information; other nodes try too.",
				Remedy: "Check the store as for 5xx answers.",
			},
			{
				Message: "client key left out",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "jwks_uri", "kid", "position", "reason", "count"},
				Cause: "A key of a client's key set cannot be used; the others can. Logged once for each change of the set, for " +
					"up to 16 keys. Clients with the same jwks_uri are not named again.",
				Remedy: "Send the line to the client's developer: the reason says what is wrong with the key. Nothing needs to be " +
					"done if the client does not use it. `countersign clients show ID` names all such keys of now.",
			},
			{
				Message: "client keys not read from jwks_uri; previous ones are kept",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "jwks_uri", "error"},
				Cause: "The address could not be fetched (error begins with `outbound:`), or its document is no acceptable key " +
					"set: it has a private key, is no JSON, or is too large. The keys from before, if there are any, are used for " +
					"up to 24 hours after their lifetime. Logged once for each change of the cause.",
				Remedy: "If many clients fail at once, check DNS, the firewall and `outbound.ca_file`. For one client, ask its " +
					"developer to serve the key set with status 200 and without a redirect, and to replace a key whose private " +
					"half was published.",
			},
		}},
		{"Upstream provider", []Entry{
			{
				Message: "upstream provider cannot be used",
				Levels:  []string{"error"},
				Fields:  []string{"cause", "error", "issuer"},
				Cause:   "The provider of login.issuer did not give its metadata, or offers less than login.weak says. Users get a page with 503, and can try again.",
				Remedy:  "Run `countersign doctor`, which asks it as a node does.",
			},
			{
				Message: "upstream provider is away",
				Levels:  []string{"warn"},
				Fields:  []string{"error", "issuer"},
				Cause:   "The provider of login.issuer did not answer, or answered 429 or 5xx. The user got a page with 503, and can try again.",
				Remedy:  "See to the provider, or to the way there.",
			},
			{
				Message: "upstream sign-in refused",
				Levels:  []string{"warn"},
				Fields:  []string{"error", "issuer"},
				Cause:   "The provider of login.issuer refused the sign-in, or what it answered does not verify or is not what was asked for: error says which. The audit log has it as sign_in_failed.",
				Remedy:  "None for single users. Of many, look at login.classes and at how this server is registered at the provider.",
			},
			{
				Message: "upstream logout token refused",
				Levels:  []string{"warn"},
				Fields:  []string{"error", "issuer"},
				Cause:   "What was posted as a logout token is not one of the provider of login.issuer, or not one for this server.",
				Remedy:  "If the provider sent it, look at error: an older one may need untyped_logout_token in login.weak.",
			},
			{
				Message: "upstream logout not begun",
				Levels:  []string{"warn"},
				Fields:  []string{"error", "issuer"},
				Cause:   "A user signed out here, and could not be sent on to the provider's end_session_endpoint. The session here is over.",
				Remedy:  "Set login.sign_out = false if the provider has none.",
			},
		}},
		{"Claims source", []Entry{
			{
				Message: "claims source offered accounts that do not fit",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "client_id", "error"},
				Cause: "The API for claims about users (`[claims_source]`) offered an account that the schema of its type of `authorization_details` " +
					"does not allow, one twice, or one without a name; the error says which rule. The user was shown that accounts cannot be read.",
				Remedy: "Mend the accounts at the API, by the schema of the type and docs/api/claims-source-v1.yaml.",
			},
			{
				Message: "claims source gave no answer",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "client_id", "error", "retry_after"},
				Cause: "The API for claims about users (`[claims_source]`) did not answer in time, refused the certificate that it was shown, " +
					"or answered something that its contract does not have; the error says what. Tokens are issued without the voluntary " +
					"claims, and not at all with `check_active` or without an essential one; UserInfo answers 503. After five such lines in a " +
					"row it is not asked for 2 s, then for up to 30 s each.",
				Remedy: "Check that the API answers from this node, with `claims_source.certificate_file` as the client certificate. An error " +
					"that names a claim is about the data of one user there. A line with the message `claims source answers again` ends it.",
			},
			{
				Message: "claims source answered about another user",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "client_id", "subject"},
				Cause: "The API for claims about users was asked about the user of the field subject, and its answer has another `sub`. Nothing was " +
					"issued. Its cache or its lookup mixes users up, or somebody else answers in its place. The audit log has the event " +
					"`claims_source_wrong_subject`.",
				Remedy: "Take it out of service until its operators have found the cause: what it says about users cannot be relied on.",
			},
		}},
		{"Sign-in and devices", []Entry{
			{
				Message: "sign-in failed",
				Levels:  []string{"error"},
				Fields:  []string{"correlation_id", "client_id", "page", "error"},
				Cause:   "The directory or the store failed while a user signed in. The user saw an error page.",
				Remedy:  "Check the store, and the source of passwords if it is not the built-in one.",
			},
			{
				Message: "sign-in throttled",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "client_id", "page", "retry_after", "reason", "repeated"},
				Cause: "There were too many wrong passwords from one address, for one user name, or at once. Passwords are being guessed, or a " +
					"user forgot theirs. With the reason \"locked\" there were too many in a row for the user: only passkeys, and browsers in " +
					"which the user has signed in before, sign in.",
				Remedy: "Nothing for single lines. Many are an attack: block its addresses at the ingress. users list shows who is locked, and " +
					"users unlock ends it.",
			},
			{
				Message: "passkey disabled: signature counter did not increase (copied authenticator)",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "subject"},
				Cause: "The counter of a passkey went back: two copies of its key exist (WebAuthn Level 3 §6.1.1). The passkey is " +
					"refused from now on; the audit log has the event passkey_copied.",
				Remedy: "Tell the user to remove the passkey and to add a new one; treat the account's recent activity as suspect.",
			},
			{
				Message: "backup flag of a passkey changed",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "subject"},
				Cause: "A passkey said at its registration that it is bound to one device, and now that it may be synced, or the other " +
					"way round (WebAuthn Level 3 §7.2). Some password managers do that. It is accepted, and counts as synced; the audit " +
					"log has the event passkey_backup_changed.",
				Remedy: "Nothing, unless the user does not know of it: then remove the passkey and add a new one.",
			},
			{
				Message: "web push not sent",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "status", "error"},
				Cause: "A push service did not take a notification, or there is no active key for web push. The user still sees the " +
					"request on the device page.",
				Remedy: "Check that the server can reach push services on the internet, and that a key for web push is active " +
					"(`countersign keys list`).",
			},
			{
				Message: "web push subscriptions not read",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "error"},
				Cause:   "The store failed; the user's browsers were not notified of a request.",
				Remedy:  "Check the store.",
			},
			{
				Message: "web push subscription not removed",
				Levels:  []string{"warn"},
				Fields:  []string{"correlation_id", "reason", "error"},
				Cause:   "The store failed; a browser that is gone is tried again at the next request.",
				Remedy:  "Check the store.",
			},
		}},
		{"CIBA pings", []Entry{
			{
				Message: "CIBA pings could not be claimed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The store failed; notifications wait.",
				Remedy:  "Check the store. They are sent when it answers again.",
			},
			{
				Message: "CIBA ping failed; will be retried",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "status", "error", "next_attempt_at"},
				Cause:   "A client's notification endpoint did not answer, or answered 5xx.",
				Remedy:  "If it goes on, tell the client's operator. The client can poll all the same.",
			},
			{
				Message: "CIBA ping abandoned",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "error"},
				Cause: "A notification cannot be sent any more: its request expires before the next try, the client is gone or not " +
					"registered for ping, or the stored notification was sealed with a key that is no longer in ciba.ping_keys_file.",
				Remedy: "Check the client's registration (`countersign clients show`) and ciba.ping_keys_file. The client can poll.",
			},
			{
				Message: "CIBA ping rejected by client; not retried",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "status"},
				Cause:   "A client's notification endpoint answered 3xx or 4xx (CIBA Core §10.2 demands 200 or 204).",
				Remedy:  "Tell the client's operator: the endpoint or its check of the notification token is wrong.",
			},
			{
				Message: "CIBA ping result not saved; will be resent",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "error"},
				Cause:   "The store failed after a notification was sent; the client gets it a second time.",
				Remedy:  "Check the store. Clients have to accept a second notification.",
			},
		}},
		{"Logout notices", []Entry{
			{
				Message: "logout notices could not be claimed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The store failed; notices of ended sessions wait. It is said once, until they can be claimed again.",
				Remedy:  "Check the store. They are sent when it answers again.",
			},
			{
				Message: "logout notice failed; will be retried",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "status", "error", "next_attempt_at"},
				Cause:   "A client's backchannel_logout_uri did not answer, or answered 408, 429 or 5xx; or the notice could not be signed or recorded.",
				Remedy:  "If it goes on, tell the client's operator: the client may take users for signed in who are not.",
			},
			{
				Message: "logout notice abandoned",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "status", "error"},
				Cause: "A client could not be told within a day that a session has ended, refused the notice, or is gone or not registered " +
					"for it any more. The audit log has it as logout_not_delivered.",
				Remedy: "Tell the client's operator; check the registration (`countersign clients show`).",
			},
			{
				Message: "logout notice result not saved; will be resent",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "attempt", "error"},
				Cause:   "The store failed after a notice was sent; the client gets it a second time.",
				Remedy:  "Check the store. Clients have to accept a second notice.",
			},
			{
				Message: "consent source gave no answer",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "correlation_id", "operation", "error", "retry_after"},
				Cause: "The system that keeps the consents (`consents.source`) did not answer in time, refused the certificate that it was shown, " +
					"or answered something that its contract does not have; the error says what. The request was refused with 503, and nothing was " +
					"granted. After five such lines in a row it is not asked for 2 s, then for up to 30 s each.",
				Remedy: "Check that the system answers from this node, with `consents.source_certificate_file` as the client certificate. A line " +
					"with the message `consent source answers again` ends it.",
			},
			{
				Message: "consent source did not take a decision back",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "consent_id", "correlation_id", "error"},
				Cause: "The system that keeps the consents had kept a decision whose grant could then not be stored, and refuses to forget it, or " +
					"could not be told; the error says which. There the consent is decided, here nothing was granted.",
				Remedy: "Compare the consent there with `countersign consents show`; the user has to authorise a new one.",
			},
			{
				Message: "consent source not told of a denial",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "correlation_id", "error"},
				Cause:   "A user denied a request, and the system that keeps the consents could not be told: there the consent still awaits a decision.",
				Remedy:  "Check that system. Nothing was granted; the consent ends there by its time.",
			},
			{
				Message: "consents whose time is over could not be ended",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The store failed. Their tokens have ended nevertheless; only the status and the notices wait. It is said once, until it works again.",
				Remedy:  "Check the store.",
			},
			{
				Message: "consent notices could not be claimed",
				Levels:  []string{"warn"},
				Fields:  []string{"error"},
				Cause:   "The store failed; notices of changed consents wait. It is said once, until they can be claimed again.",
				Remedy:  "Check the store. They are sent when it answers again.",
			},
			{
				Message: "consent notice failed; will be retried",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "consent_id", "attempt", "status", "error", "next_attempt_at"},
				Cause:   "consents.webhook did not answer, or not with 200, 202 or 204; or the notice could not be signed or recorded.",
				Remedy:  "Check the system at consents.webhook: until it answers it does not know that a consent has changed. The tokens have ended all the same.",
			},
			{
				Message: "consent notice abandoned",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "consent_id", "attempt", "status"},
				Cause:   "consents.webhook did not acknowledge a notice within a week. The audit log has it as consent_notice_not_delivered.",
				Remedy:  "Read what has become of the consent: `countersign consents show`.",
			},
			{
				Message: "consent notice result not saved; will be resent",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "consent_id", "attempt", "error"},
				Cause:   "The store failed after a notice was sent; it is sent a second time, with the same jti.",
				Remedy:  "Check the store. The system at consents.webhook has to accept a second notice.",
			},
		}},
		{"A login of your own", []Entry{
			{
				Message: "hint not resolved by the login",
				Levels:  []string{"warn"},
				Fields:  []string{"client_id", "correlation_id", "error"},
				Cause:   "The address of login.hints_address gave no answer about whom a backchannel request means, or one that is none. The client was answered 503.",
				Remedy:  "See the error. The login has to answer within 2 seconds as docs/api/login-v1.yaml describes it (`resolveHint`).",
			},
		}},
	}
}

// keys lists what is about signing keys and HSMs.
func keys() []Group {
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

// operation lists what is about the process, its files and the audit log.
func operation() []Group {
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
