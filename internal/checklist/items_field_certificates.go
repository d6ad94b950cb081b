package checklist

// fieldCertificates are about client certificates as banks have them.
func fieldCertificates() []Item {
	return []Item{
		{ID: "FD-50", Section: "RFC 5280 §4.1", Requires: "certificates that OpenSSL takes and Go does not: read where nothing rests on what is wrong with them, and verified in every byte; else refused with subject and cause"},
		{ID: "FD-51", Section: "RFC 8446 §4.4.2", Requires: "a client certificate that the handshake refuses is one warning with address, subject if it can be read, and cause; repeated ones are counted"},
		{ID: "FD-52", Section: "RFC 4055 §1.2", Requires: "keys of certificates: RSA, RSASSA-PSS behind an ingress, P-256 to P-521, Ed25519; others are refused by their name"},
		{ID: "FD-53", Section: "RFC 3739 §3.2.6", Requires: "qcStatements may be critical; other unknown critical extensions are refused by their number"},
		{ID: "FD-54", Section: "RFC 5280 §4.2.1.12", Requires: "no extended key usage is any; one without clientAuth is refused"},
		{ID: "FD-55", Section: "RFC 2253 §4, RFC 1779", Requires: "subject names as OpenSSL, Java and .NET write them"},
		{ID: "FD-56", Section: "RFC 4518 §2", Requires: "names are compared mapped, folded and normalised"},
		{ID: "FD-57", Section: "RFC 4514 §2.1", Requires: "a name in the opposite order is refused, with a hint"},
		{ID: "FD-58", Section: "XFCC", Requires: "By of Envoy's own certificate is read over, and believed for nothing"},
		{ID: "FD-59", Section: "RFC 6749 §5.2", Requires: "the answer to a client says the true reason why its certificate is refused"},
	}
}
