package checklist

// consentAPIs lists what the consent APIs of ecosystems ask, and what a bank's own consent system may.
func consentAPIs() []Item {
	return []Item{
		{ID: "LC-40", Section: "UK Read/Write Data API 4.0, 3.1.11: account-access-consents", Requires: "created, read and deleted, with the standard's states and errors; what its client deleted is gone"},
		{ID: "LC-41", Section: "Open Finance Brasil Consents 3.3.1", Requires: "created, read and deleted, with names of the institution's, the text's states, reasons and codes"},
		{ID: "LC-42", Section: "Open Finance Brasil Payments 4.0.0", Requires: "payment consents: signed request and answer, by the organisations"},
		{ID: "LC-43", Section: "Open Insurance Brasil Consents 3.0.0", Requires: "created, read and deleted; what is not served is left out; errors say when"},
		{ID: "LC-44", Section: "KSA Account Information 2024.09.01", Requires: "signed request and answer; PATCH ends a consent as its state allows and does nothing else"},
		{ID: "LC-45", Section: "Consumer Data Standards, CDR Arrangement Revocation", Requires: "a client ends its own arrangement with its tokens; any other is 422"},
		{ID: "LC-46", Section: "Open Finance Brasil FAPI profile §5.2.2-23", Requires: "a call without a UUID in x-fapi-interaction-id is refused and told one; each answer has one"},
		{ID: "LC-47", Section: "UK Read/Write Data API, Idempotency; Brasil Payments 1.3.2.5", Requires: "a key makes one consent on all nodes; another content is refused; another client's key is another"},
		{ID: "LC-48", Section: "FAPI 2.0 Security Profile §5.3.4", Requires: "only tokens of client_credentials with the API's scope, of its ecosystem's clients, by the holder of their key"},
		{ID: "LC-49", Section: "UK Read/Write Data API, 403 (Forbidden)", Requires: "another client's consent is neither read nor ended"},
		{ID: "LC-50", Section: "Open Finance Brasil, Assinatura de payloads; KSA OBReadConsentSigned", Requires: "a signed request is by the client, for this server, fresh, and counts once"},
		{ID: "LC-51", Section: "FAPI 2.0 Message Signing §7", Requires: "a signed answer is recorded before it is sent, with its request; nothing is kept of what cannot be signed"},
		{ID: "LC-52", Section: "each ecosystem's permissions", Requires: "permissions that do not go together, and members and dates that are not of the schema, are refused in its words"},
		{ID: "LC-53", Section: "product", Requires: "an ecosystem is a row of data with its sources; what its users are shown fits the type that shows it"},
		{ID: "LC-54", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "no input is answered as a failure of the server", NoRefusal: "it is about how anything is answered, also what is refused"},
		{ID: "LC-55", Section: "OWASP ASVS 5.0 §2.4.1", Requires: "calls, and consents that await a decision, are bounded by client and organisation"},
		{ID: "LC-56", Section: "UK Open Banking Read/Write API Profile, Consent Authorisation", Requires: "what an application lodged is what its user authorises; the API tells that it was, and its end ends the tokens, at every node"},
		{ID: "LC-60", Section: "docs/api/consents-v1.yaml", Requires: "a bank's own consents are read, shown, bound and decided; what it ends is refused at the next refresh"},
		{ID: "LC-61", Section: "docs/api/consents-v1.yaml", Requires: "what ends here ends at once with its tokens, also while the bank is away, and the bank is told"},
		{ID: "LC-62", Section: "RFC 9110 §15.6.4", Requires: "while the bank does not answer nothing is granted or consumed: 503 with Retry-After, and all goes on when it is back"},
		{ID: "LC-63", Section: "docs/api/consents-v1.yaml", Requires: "an answer about another consent or client, or not of the contract, is none"},
		{ID: "LC-64", Section: "docs/api/consents-v1.yaml", Requires: "questions and answers are those of the contract; mutual TLS is the only way"},
		{ID: "LC-65", Section: "docs/configuration.md, consents", Requires: "a source is whole or not there; what is wrong with it stops the start and names its key"},
		{ID: "LC-66", Section: "examples/consent-source", Requires: "the example serves the contract"},
		{ID: "LC-67", Section: "docs/consents.md", Requires: "at each node a consent of another client, an unknown and an ended one are refused, and nothing is kept of what is"},
	}
}
