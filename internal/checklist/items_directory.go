package checklist

// directories lists what registration by software statements, and the directories that sign them, are held to.
func directories() []Group {
	return []Group{{"LD", "Directories of participants", []Item{
		{ID: "LD-01", Section: "RFC 7591 §2.3, §3.1.1", Requires: "a statement is signed by its directory, with an algorithm of the profile"},
		{ID: "LD-02", Section: "Open Finance Brasil DCR 1.0 §7.1-3", Requires: "its iat is no older than the rule says; exp and nbf count"},
		{ID: "LD-03", Section: "RFC 7591 §3.2.2", Requires: "one of another issuer, or of who may not take part, is unapproved; a missing one is refused where it is required"},
		{ID: "LD-04", Section: "RFC 7519 §4.1.7", Requires: "a statement registers once, also of many requests at once"},
		{ID: "LD-05", Section: "RFC 7591 §3.2.2", Requires: "a refused registration leaves nothing, and consumes nothing", NoRefusal: "it is about refusals"},
		{ID: "LD-07", Section: "RFC 7591 §2.3, Open Finance Brasil DCR 1.0 §7.1-4, 5, 6, 10", Requires: "the statement wins; keys by value or elsewhere and other redirect URIs are refused"},
		{ID: "LD-08", Section: "Open Finance Brasil DCR 1.0 §7.1-9, §7.2", Requires: "the scope is what the active roles of the statement allow"},
		{ID: "LD-09", Section: "Open Finance Brasil DCR 1.0 §7.1-1, 13, 14", Requires: "the client certificate is of a known authority, the software's and the participant's"},
		{ID: "LD-10", Section: "Open Finance Brasil DCR 1.0 §7.1-12, 15, §7.1.2", Requires: "a registered subject is the statement's; values in #hexDER compare as text (RFC 4517)"},
		{ID: "LD-11", Section: "RFC 7592 §2, Open Finance Brasil DCR 1.0 §7.1-7", Requires: "who manages a registration shows the certificate of its organisation each time"},
		{ID: "LD-12", Section: "RFC 7592 §2.2", Requires: "a replacement has a statement of the same software"},
		{ID: "LD-13", Section: "UK Open Banking DCR 3.2, Consumer Data Standards: Registration Request using JWT", Requires: "a request that is a JWT: signature by the statement's keys, iss, aud, iat, exp, jti"},
		{ID: "LD-14", Section: "Consumer Data Standards: Registration Validation", Requires: "one registration for a software product"},
		{ID: "LD-15", Section: "RFC 7591 §5", Requires: "a participant registers as many clients as its directory's quota says"},
		{ID: "LD-16", Section: "RFC 7517 §5", Requires: "the directory's keys are fetched once for many, and again for a new one"},
		{ID: "LD-17", Section: "RFC 7591 §5", Requires: "while the directory is away its last keys count, on nodes that start then too, and not for ever"},
		{ID: "LD-18", Section: "Consumer Data Standards: Data Holder Responsibilities", Requires: "a suspended participant is refused at every endpoint, with its tokens, until it is restored"},
		{ID: "LD-19", Section: "Consumer Data Standards: Metadata Cache Management", Requires: "on every node"},
		{ID: "LD-20", Section: "Consumer Data Standards: Data Holder Responsibilities", Requires: "inactive software is suspended; what was granted to removed software ends"},
		{ID: "LD-21", Section: "Consumer Data Standards: Data Holder Responsibilities", Requires: "lists are read as their ecosystems publish them; what says nothing changes nothing"},
		{ID: "LD-22", Section: "OWASP ASVS 5.0 §16.3", Requires: "suspension and restoration are in the audit log, once"},
		{ID: "LD-23", Section: "RFC 8725 §3", Requires: "no statement crashes the parser, or is remembered for less than it is valid", NoTest: "FuzzParse of fapi/statement"},
		{ID: "LD-24", Section: "UK Open Banking DCR 3.2", Requires: "registration as the United Kingdom's preset says"},
		{ID: "LD-25", Section: "Consumer Data Standards: Client Registration", Requires: "registration as Australia's preset says"},
		{ID: "LD-26", Section: "OWASP ASVS 5.0 §13.1", Requires: "settings of a directory that cannot be right are refused by their key"},
		{ID: "LD-27", Section: "Consumer Data Standards: Registration Management", Requires: "a client manages its registration with an access token for that, bound to its certificate"},
		{ID: "LD-28", Section: "RFC 7591 §5", Requires: "a key of a client that is gone from the directory's key store is out of use within 5 minutes, whatever that says of caching"},
	}}}
}
