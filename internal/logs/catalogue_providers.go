package logs

// elsewhere lists what systems of others cause, at which users sign in or that know of them.
func elsewhere() []Group {
	return []Group{
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
	}
}

// ownLogin lists what a login of the bank's own causes.
func ownLogin() []Group {
	return []Group{
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
