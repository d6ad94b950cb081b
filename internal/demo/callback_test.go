package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// byHand is a run that waits for the user's browser, with that browser.
func byHand(t *testing.T) (*demo, *fakeServer, *bytes.Buffer, *http.Client) {
	t.Helper()
	d, f, out := newRun(t, "")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	callback := httptest.NewTLSServer(nil) // for its certificate
	callback.Close()
	browser := callback.Client()
	browser.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
	t.Cleanup(browser.CloseIdleConnections)
	d.config.Auto = false
	d.config.Callback = callback.TLS.Certificates[0]
	d.config.RedirectURI = fmt.Sprintf("https://localhost:%d/callback", free.Addr().(*net.TCPAddr).Port)
	f.client = d.config
	return d, f, out, browser
}

// visit loads a page in the user's browser.
func visit(t *testing.T, browser *http.Client, address string) (int, string) {
	t.Helper()
	response, err := browser.Get(address)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}

// TestPerson waits for a browser at the redirect URI.
func TestPerson(t *testing.T) {
	d, f, out, browser := byHand(t)
	seen := make(chan string, 1)
	opened := ""
	d.config.Open = func(address string) error {
		opened = address
		go func() {
			origin := strings.TrimSuffix(d.config.RedirectURI, "/callback")
			if status, _ := visit(t, browser, origin+"/favicon.ico"); status != http.StatusNotFound {
				t.Errorf("another page is answered with %d", status)
			}
			answer := url.Values{"code": {f.secret("code")}, "state": {f.pushed.Get("state")}, "iss": {f.issuer}}
			_, page := visit(t, browser, d.config.RedirectURI+"?"+answer.Encode())
			seen <- page
		}()
		return errors.New("there is no desktop")
	}
	if err := d.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if page := <-seen; !strings.Contains(page, "Go back to the terminal") {
		t.Errorf("the user saw %q", page)
	}
	if !strings.HasPrefix(opened, "https://example.com/authorize?client_id=demo-dpop&request_uri=urn%3A") {
		t.Errorf("the browser was opened at %q", opened)
	}
	if !strings.Contains(out.String(), "\n"+opened+"\n") {
		t.Errorf("the address cannot be copied from:\n%s", out)
	}
}

// TestNobody gives up when it is told to.
func TestNobody(t *testing.T) {
	d, _, _, _ := byHand(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := d.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestPortTaken says why there is no callback.
func TestPortTaken(t *testing.T) {
	d, _, _, _ := byHand(t)
	address, err := url.Parse(d.config.RedirectURI)
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", "127.0.0.1:"+address.Port())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := d.run(t.Context()); err == nil || !strings.Contains(err.Error(), "is another demo running?") {
		t.Error(err)
	}
}
