package checklist

// ownLogins lists what the examples of such a login, and what is said about it, have to do.
func ownLogins() []Item {
	return []Item{
		{ID: "KE-41", Section: "OpenID Connect Core §3.1.2.3, EU 2018/389 Art. 5", Requires: "people sign in and decide at a bank's own login, in a real browser, and a payment is named by amount and payee"},
		{ID: "KE-42", Section: "OWASP ASVS 5.0 §3.5, §7.2", Requires: "its forms work in the session and on the site that they were made for, and once"},
		{ID: "KE-43", Section: "OpenID Connect Core §3.1.2.3", Requires: "people sign in there, and decide on the built-in page"},
		{ID: "KE-44", Section: "OpenID Connect Core §3.1.2.4", Requires: "people sign in on the built-in page, and decide there"},
		{ID: "KE-45", Section: "RFC 6749 §4.1.2.1", Requires: "who takes too long there gets a page, and the application an error"},
		{ID: "KE-46", Section: "OpenAPI 3.1", Requires: "whatever the backend of a login sends, it gets no error of the server, and no answer that the description lacks"},
		{ID: "KE-47", Section: "OWASP ASVS 5.0 §13.1", Requires: "the steps of docs/own-login.md lead from a clone to a login of one's own that the server takes, as they are written"},
	}
}
