package client

import "testing"

// Covers: FD-74, FD-78. Who answers for a client, from who registered it.
func TestFD78Organisation(t *testing.T) {
	same := func(name, a, b string, want bool) {
		t.Run(name, func(t *testing.T) {
			one, other := OrganisationOf("client-1", a), OrganisationOf("client-2", b)
			if (one == other) != want || one == "" {
				t.Errorf("%q and %q", one, other)
			}
		})
	}
	same("accepts the holder of a token as one", "Bank", "Bank", true)
	same("refuses holders of two tokens as one", "Bank", "Other Bank", false)
	same("accepts certificates of one organisation as one", "x509:CN=a,O=Example Bank,C=DE", "x509:CN=b,O=EXAMPLE  bank,C=DE", true)
	same("accepts one identifier as one", "x509:2.5.4.97=#0c1050534444452d424146494e2d31323334,CN=a,O=Bank", "x509:CN=b,O=Bank AG,2.5.4.97=PSDDE-BAFIN-1234", true)
	same("refuses two identifiers as one", "x509:CN=a,O=Bank,2.5.4.97=PSDDE-BAFIN-1234", "x509:CN=a,O=Bank,2.5.4.97=PSDDE-BAFIN-1235", false)
	same("refuses organisations of two countries as one", "x509:CN=a,O=Bank,C=DE", "x509:CN=a,O=Bank,C=FR", false)
	same("refuses a token's holder with the name of a certified organisation", "Bank", "x509:CN=a,O=Bank", false)
	same("accepts one subject without an organisation as one", "x509:CN=a", "x509:CN=a", true)
	same("refuses two subjects without an organisation as one", "x509:CN=a", "x509:CN=b", false)
	same("refuses two clients of an operator as one", "", "", false)
}
