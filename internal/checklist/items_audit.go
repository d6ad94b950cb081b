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
		{ID: "KA-07", Section: "GDPR Article 7(1)", Requires: "a consent page is in the audit log before it is sent, once for what it shows, with the digest that is decided on"},
		{ID: "KA-08", Section: "GDPR Article 17", Requires: "whom an entry is about, and from which address, can be erased by person or by age, is salted, and is not in the chain"},
		{ID: "KA-09", Section: "GDPR Article 5(2)", Requires: "the verifier proves the chain after an erasure, and tells what was erased with a record from what was taken away or exchanged"},
		{ID: "KA-10", Section: "OWASP ASVS 5.0 §16.3.1", Requires: "a failed sign-in has the true reason and whose it was, and never what was typed; who tries learns neither"},
		{ID: "KA-11", Section: "OWASP ASVS 5.0 §16.3.3", Requires: "a flood of sign-ins is in the audit log, counted, and does not fill it"},
		{ID: "KA-12", Section: "CIBA Core §4", Requires: "a decision on a device, its grant, a step-up and a failed sign-in there are in the audit log, in the transaction of what they are about where there is one"},
		{ID: "KA-13", Section: "OWASP ASVS 5.0 §16.2.1", Requires: "an import of users is one entry of the audit log: who, which file, what came of it", NoRefusal: "what an import refuses is KB-06 and its neighbours"},
		{ID: "KA-14", Section: "RFC 7239 §8.1", Requires: "the address in an entry is that of the client by the rules of the ingress, and no other that a client claims"},
		{ID: "KA-15", Section: "GDPR Article 17", Requires: "signed messages and notices about a consent are erased with who decided about it, and logout tokens with whom they name"},
		{ID: "KA-16", Section: "GDPR Article 17", Requires: "whoever is erased is found in the log whatever characters the subject has"},
	}
}

// audited is the group of the audit log.
func audited() []Group { return []Group{{"KA", "Audit of the ordinary flow", ordinaryFlow()}} }
