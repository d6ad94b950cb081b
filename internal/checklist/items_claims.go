package checklist

// claimsSources lists what a source of claims about users has to do that is not the built-in directory.
func claimsSources() []Item {
	return []Item{
		{ID: "KB-13", Section: "RFC 8446 §4.3.2", Requires: "a claims source is asked over mutual TLS: it is shown a certificate, and has to prove its name"},
		{ID: "KB-14", Section: "RFC 9700 §4.11", Requires: "addresses that are not public are reached in networks that the operator names alone; links and clouds' metadata never"},
		{ID: "KB-15", Section: "OpenID Connect Core §5.4, §5.5", Requires: "it is asked for the claims that would be released, and nothing else that it gives is taken"},
		{ID: "KB-16", Section: "OpenID Connect Core §5.1", Requires: "its answers are bounded in size and time, read strictly, and each claim is of its type"},
		{ID: "KB-17", Section: "OpenID Connect Core §5.3.2", Requires: "an answer about another user has nothing issued; log and audit log say so"},
		{ID: "KB-18", Section: "RFC 9111 §4.2", Requires: "an answer is used again by rule, never longer, also while the source is away"},
		{ID: "KB-19", Section: "OpenID Connect Core §5.4", Requires: "two clients share no answer"},
		{ID: "KB-20", Section: "OpenID Connect Core §5.5.1", Requires: "while it is away, tokens lack voluntary claims; without essential claims there are none, and UserInfo is not answered"},
		{ID: "KB-21", Section: "RFC 6749 §5.2", Requires: "where it says who is active, nothing is issued, refreshed or consumed without its answer"},
		{ID: "KB-22", Section: "OWASP ASVS 5.0 §7.4.2", Requires: "a user who is disabled there gets no token and no refresh, and the sessions end"},
		{ID: "KB-23", Section: "RFC 9110 §15.6.4", Requires: "a source that does not answer is left alone for a while; questions at once are bounded, and refused in time"},
		{ID: "KB-24", Section: "OpenID Connect Discovery §3", Requires: "claims_supported lists the claims that it may give"},
		{ID: "KB-25", Section: "OWASP ASVS 5.0 §13.1.1", Requires: "what is wrong with its configuration stops the start, in one line that names the key"},
		{ID: "KB-26", Section: "OpenID Connect Core §5.6", Requires: "where there is a source it is the only one: the directory's claims are not released, and a user known by the subject alone has the source's"},
		{ID: "KB-27", Section: "RFC 9325 §7.1", Requires: "the certificate that it is shown is read again, with its key, when both have changed"},
		{ID: "KB-28", Section: "OpenAPI 3.1", Requires: "the contract is described: the example fulfils it, and requests and answers of the tests do"},
	}
}
