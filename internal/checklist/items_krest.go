package checklist

// customersLeft lists what was left of the bank's own customers and of speed: what a test has to show.
func customersLeft() []Group {
	return []Group{{"KX", "Accounts that are offered, lives, and bounds", []Item{
		{ID: "KX-01", Section: "RFC 9396 §7", Requires: "accounts that no request names are offered by the claims source, shown with name, kind, number and balance, and what is chosen is granted"},
		{ID: "KX-02", Section: "RFC 9396 §7", Requires: "only what is offered now can be chosen; an outage of the source shows nothing of before, and the client is told"},
		{ID: "KX-03", Section: "RFC 9396 §7", Requires: "a login that signs users in tells their accounts, which are offered to this user alone, in each tab and after a while"},
		{ID: "KX-04", Section: "RFC 9396 §7", Requires: "a login that asks for consent answers with what was chosen: entries that the schema allows, or that the claims source offers"},
		{ID: "KX-05", Section: "CIBA Core §7.1, RFC 9396 §7", Requires: "accounts are offered without a browser too: on the device, in applications, in the confirmations API"},
		{ID: "KX-06", Section: "RFC 9396 §2", Requires: "an account is read by its bank's words and by the entry itself; a schema that cannot hold what is offered stops the start"},
		{ID: "KX-07", Section: "WCAG 2.2", Requires: "offered accounts are chosen by keyboard, at each width, in each direction of writing; a page without any leads back"},
		{ID: "KX-08", Section: "RFC 9396 §7", Requires: "the user's own page names the accounts of a grant as they were chosen"},
		{ID: "KX-09", Section: "Open Finance Brasil Payments 4.0.0, (EU) 2018/389 Article 10a", Requires: "ready types say how long what they allow lasts, with the source"},
		{ID: "KX-10", Section: "RFC 9396 §7", Requires: "page, grant, refresh token and access tokens last as long as the ready type has it"},
		{ID: "KX-11", Section: "RFC 7523 §2.2, RFC 9449", Requires: "the login in TypeScript calls as a registered client, by private_key_jwt and with tokens bound by DPoP, as the one in Go"},
		{ID: "KX-12", Section: "WCAG 2.2 §3.1.1", Requires: "the login in TypeScript speaks English, Portuguese and Arabic, as the one in Go"},
		{ID: "KX-13", Section: "PSD2 Article 66, GDPR Article 7(3)", Requires: "the list of what has ended says by whom: the user, the application, the bank, or by itself"},
		{ID: "KX-14", Section: "OWASP ASVS 5.0 §15.2.2", Requires: "caches are bounded by the configuration, and what is beyond is forgotten"},
		{ID: "KX-15", Section: "FAPI 2.0 Message Signing §7", Requires: "from a checkpoint kept elsewhere on the log is verified without reading what is older"},
	}}}
}
