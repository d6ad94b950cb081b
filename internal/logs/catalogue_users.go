package logs

// users lists what signing in, confirming on a device and signing out cause.
func users() []Group {
	return []Group{
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
	}
}
