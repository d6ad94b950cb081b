package client_test

import (
	"testing"

	"countersign/fapi/client"
)

// Covers: FD-88. An origin is the same however its address is written, and another one however alike it looks.
func TestFD88SameOrigin(t *testing.T) {
	const own = "https://login.example"
	for _, address := range []string{
		"https://login.example/cb", "https://login.example", "https://LOGIN.example/cb", "HTTPS://login.example/cb", "https://login.example:443/cb",
		"https://login.example:0443/cb", "https://login.example./cb", "https://login.example?x=y", "https://login.example#x", "https://a@login.example/cb",
		"https://login.example:/cb",
	} {
		t.Run("refuses "+address, func(t *testing.T) {
			if !client.SameOrigin(address, own) {
				t.Error("it is taken for another origin")
			}
		})
	}
	for _, address := range []string{
		"https://login.example:8443/cb", "http://login.example/cb", "https://app.login.example/cb", "https://login.example.evil/cb", "https://example/cb",
		"https://evil.example/login.example", "https://login.example@evil.example/cb", "com.example.app:/cb", "", "/cb", "https:///cb",
	} {
		t.Run("accepts "+address, func(t *testing.T) {
			if client.SameOrigin(address, own) {
				t.Error("it is taken for the same origin")
			}
		})
	}
	for six, same := range map[string]bool{"https://[0:0:0:0:0:0:0:1]:8443/cb": true, "https://[::1]:8443": true, "https://[::2]:8443": false} {
		if client.SameOrigin(six, "https://[::1]:8443") != same {
			t.Errorf("%s: %v", six, !same)
		}
	}
}
