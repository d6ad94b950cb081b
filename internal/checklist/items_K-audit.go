package checklist

// ordinaryFlow lists what the audit log has of the ordinary flow.
func ordinaryFlow() []Item {
	return []Item{
		{ID: "KA-01", Section: "OWASP ASVS 5.0 §16.3.1", Requires: "each sign-in and each failed one, with its true reason, is in the audit log"},
		{ID: "KA-02", Section: "GDPR Article 7(1)", Requires: "what was shown and decided is in the audit log with the decision, and a failure to sign in is no decision"},
		{ID: "KA-03", Section: "OWASP ASVS 5.0 §16.3.2", Requires: "grants made, refreshed and revoked, by whom and from which address, are in the audit log"},
		{ID: "KA-04", Section: "RFC 6749 §4.1.2", Requires: "the reuse of a code is recorded in the transaction that revokes its grant"},
		{ID: "KA-05", Section: "RFC 9470", Requires: "that a signed-in user had to authenticate again is in the audit log"},
		{ID: "KA-06", Section: "GDPR Article 17", Requires: "events name users by the subject alone"},
	}
}

// audited is the group of the audit log.
func audited() []Group { return []Group{{"KA", "Audit of the ordinary flow", ordinaryFlow()}} }
