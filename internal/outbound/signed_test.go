package outbound

import "testing"

// Documents that are signed themselves may be fetched over http; nothing else becomes weaker.
func TestSignedDocuments(t *testing.T) {
	signed, usual := Policy{SignedDocuments: true}, Policy{}
	for address, ok := range map[string]bool{
		"http://crl.example/a.crl": true, "http://crl.example:80/a.crl": true, "https://crl.example/a.crl": true, "http://ocsp.example:8080/": true,
		"http://crl.example:25/": false, "https://crl.example:80/": false, "http://10.0.0.1/": false, "http://169.254.169.254/": false,
		"ldap://crl.example/": false, "http://user@crl.example/": false, "http://crl.example/#a": false,
	} {
		if _, err := signed.parseAddress(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := usual.parseAddress("http://crl.example/a.crl"); err == nil {
		t.Error("http is taken without the policy")
	}
}
