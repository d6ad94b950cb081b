package checklist

// ecosystemsRest lists what ecosystems ask that was found when the conformance suite judged all of their plans, and what their
// operators need besides.
func ecosystemsRest() []Group {
	const connectID = "ConnectID FAPI-CIBA Profile"
	return []Group{{"LX", "What ecosystems ask, the rest", []Item{
		{ID: "LX-01", Section: "CIBA Core §13", Requires: "a binding_message that the ecosystem demands is a required parameter: invalid_request without it"},
		{ID: "LX-02", Section: connectID + " §4.1.3.1", Requires: "3ds:payment_authorisation: a payment by card, read by people; incomplete or malformed ones are refused"},
		{ID: "LX-03", Section: "RFC 7518 §4.3", Requires: "an HSM that has RSA-OAEP with SHA-1 alone opens request objects of the ecosystems that name it"},
		{ID: "LX-04", Section: "CDS, Metadata Cache Management", Requires: "a standing that is said again is newer than one that was read before: no node takes it back"},
		{ID: "LX-05", Section: "RFC 7591 §2", Requires: "no client keeps the keys at another's jwks_uri for longer than a directory's clients may"},
		{ID: "LX-06", Section: "RFC 7592 §2.3", Requires: "consents of a client that deletes itself are ended by the client", NoRefusal: "it is about who is told to have ended them"},
		{ID: "LX-07", Section: "Open Banking Directory, software_jwks_revoked_endpoint", Requires: "a key that the directory lists as revoked signs nothing, though it is at jwks_uri still"},
		{ID: "LX-08", Section: "Open Finance Brasil DCR §7.2", Requires: "scopes follow the roles that the directory's list has as active, after registration too"},
		{ID: "LX-09", Section: "RFC 6749 §4.4, RFC 8705 §2.1", Requires: "an access token for a directory's lists is had with the certificate and kept fresh"},
		{ID: "LX-10", Section: "operation", Requires: "doctor asks directories and the consent source, and says what is wrong with keys, lists and certificates"},
		{ID: "LX-11", Section: "UK Open Banking, funds-confirmation-consent", Requires: "funds confirmation consents are created, shown, read and deleted"},
		{ID: "LX-12", Section: "UK Open Banking, domestic-payment-consents; Message Signing", Requires: "payment consents by detached signatures, checked and answered alike"},
		{ID: "LX-13", Section: "Open Finance Brasil, Como Assinar o Payload", Requires: "signed consent requests by the keys that a directory publishes for the organisation, beside the software's"},
	}}}
}
