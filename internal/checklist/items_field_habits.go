package checklist

// fieldHabits lists what clients and authenticators do by habit, and what a replay is answered with.
func fieldHabits() []Item {
	return []Item{
		{ID: "FD-20", Section: "RFC 7523 §3.2, RFC 9449 §5", Requires: "a replay is answered by its kind: invalid_client (401), invalid_dpop_proof, else invalid_request"},
		{ID: "FD-21", Section: "RFC 8252 §7.3", Requires: "a native app's loopback address matches at any port, and in nothing else otherwise"},
		{ID: "FD-22", Section: "FAPI 2.0 Message Signing §7", Requires: "no accepted signed message whose JWS or signature is not kept; once per object that is replayed"},
		{ID: "FD-23", Section: "RFC 7591 §2, §3.2.1", Requires: "registration leaves out what nobody uses, and tells it: implicit, unknown scopes, idle subjects, order, charset"},
		{ID: "FD-24", Section: "operation", Requires: "clients add refuses scopes that do not exist, misspelt members and redirect URIs of the server; clients remove"},
		{ID: "FD-25", Section: "CIBA §7.1", Requires: "binding messages with the spaces of amounts and the joiners of spelling; nothing else that is invisible"},
		{ID: "FD-26", Section: "RFC 9110 §12.4.2, §12.5.1", Requires: "a signed answer of introspection by the weights of Accept; zero in any spelling is none"},
		{ID: "FD-27", Section: "WebAuthn Level 3 §6.1.1, §7.2", Requires: "passkeys whose backup flag or counter moves: the user is told and not locked out; counters count for device-bound ones"},
		{ID: "FD-28", Section: "WebAuthn Level 3 §5.8.5, §7.2-6", Requires: "a passkey sign-in names its user, and the type of a key is that of its algorithm"},
		{ID: "FD-29", Section: "RFC 9449 §4.3-9", Requires: "a proof is for the listener that it is sent to"},
		{ID: "FD-30", Section: "RFC 9068 §5", Requires: "no client_id is the subject of a user"},
	}
}
