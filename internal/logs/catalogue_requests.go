package logs

// requests lists what requests of clients cause.
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
	}
}
