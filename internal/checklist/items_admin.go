package checklist

// administered lists what the admin API is held to.
func administered() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Admin API",
		Items: []Item{
			{ID: "NM-40", Section: "RFC 8446 §4.4.2, RFC 5280 §6", Requires: "the admin API is mutual TLS on a listener of its own; an operator is known by the certificate, as the files say now"},
			{ID: "NM-41", Section: "OWASP ASVS 5.0 §8.2", Requires: "each route is for its roles, and for nobody else"},
			{ID: "NM-42", Section: "OWASP ASVS 5.0 §13.1", Requires: "a configuration in which somebody could come without a certificate, or one person be two, is refused"},
			{ID: "NM-43", Section: "OWASP ASVS 5.0 §16.3", Requires: "each change is recorded in its own transaction, with operator, address and correlation id"},
			{ID: "NM-44", Section: "RFC 9110 §13.1.1, RFC 6585 §3", Requires: "a change names the version that it is of: 428 without, 412 with another, and of several at once one wins"},
			{ID: "NM-45", Section: "RFC 9110 §15", Requires: "lists come in parts of a bounded size, in an order that stays"},
			{ID: "NM-46", Section: "RFC 9457, OWASP ASVS 5.0 §4.1", Requires: "what is wrong is a problem document, before it costs anything: size, rate, kind, path, method, another site"},
			{ID: "NM-47", Section: "RFC 7591 §2", Requires: "clients are created, changed, disabled, enabled, given keys and removed"},
			{ID: "NM-48", Section: "NIST SP 800-53 AC-3(2)", Requires: "four eyes: another officer approves just what was asked, it expires, is carried out once, and not when something changed"},
			{ID: "NM-49", Section: "NIST SP 800-53 AC-3(2)", Requires: "on two nodes an approval is given once, and carried out once"},
			{ID: "NM-50", Section: "NIST SP 800-57 part 1 §8.3.4", Requires: "signing keys are rotated and retired by four eyes, bound to what a dry run says"},
			{ID: "NM-51", Section: "RFC 7009 §2, FAPI 2.0 Security Profile §5.3", Requires: "grants and consents are found and ended"},
			{ID: "NM-52", Section: "GDPR Articles 15 and 17", Requires: "users are managed and exported; the log names them by the subject alone"},
			{ID: "NM-53", Section: "RFC 7591 §1.2", Requires: "initial access tokens are issued, shown once, replaced and revoked"},
			{ID: "NM-54", Section: "OWASP ASVS 5.0 §16.4", Requires: "the audit log is read and verified"},
			{ID: "NM-55", Section: "OpenAPI 3.1", Requires: "the description has every route, and each answer of the tests is as described"},
			{ID: "NM-56", Section: "OpenAPI 3.1", Requires: "whatever is sent, nothing fails and nothing is answered that is not described"},
			{ID: "NM-57", Section: "OpenAPI 3.1", Requires: "the command line does by the admin API what it does locally, with the same output"},
			{ID: "NM-58", Section: "OWASP ASVS 5.0 §1.5", Requires: "bodies and cursors of whoever are read strictly, or refused"},
		},
	}}
}
