package authorize_test

import (
	"countersign/fapi/fapitest"
	"io"
	"testing"
)

// begin opens a pushed request and gives the interaction's address and the form token of its page.
func begin(t *testing.T, b *fapitest.Browser, address string) (interaction, token string) {
	t.Helper()
	response, err := b.HTTP.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%d %s, %v", response.StatusCode, body, err)
	}
	return response.Request.URL.String(), string(body)
}
