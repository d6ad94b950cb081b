package fapi_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: ATTACK-51. A request of which two servers might disagree where it ends is the last of its connection: it is
// refused, or answered with nothing after it. What is merely written in an unusual way is read as it is meant.
func TestAttack51Smuggling(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for listener, base := range map[string]string{"": w.Issuer, " on the mTLS listener": w.MTLSIssuer} {
		host := fapitest.MustURL(t, base).Host
		const chunks, path = "0\r\n\r\n", "/par"
		hidden := "POST /token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n" // what is to be smuggled
		start := func(method, target string) string {
			return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
		}
		post := func(headers, body string) string {
			return start("POST", path) + "Content-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + body
		}
		for name, sent := range fapitest.Sorted(map[string]string{
			"Content-Length and chunks":             post(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(chunks+hidden)), chunks),
			"chunks and Content-Length":             post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", chunks),
			"chunks and Content-Length 0":           post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", chunks),
			"chunks in a folded header":             post("Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n", chunks),
			"chunks after a tab":                    post("Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n", chunks),
			"chunks after a vertical tab":           post("Content-Length: 5\r\nTransfer-Encoding:\vchunked\r\n", chunks),
			"chunks and a blank before the colon":   post("Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", chunks),
			"chunks in capitals":                    post("Content-Length: 5\r\nTransfer-Encoding: CHUNKED\r\n", chunks),
			"chunks in quotes":                      post("Content-Length: 5\r\nTransfer-Encoding: \"chunked\"\r\n", chunks),
			"two transfer encodings":                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunks),
			"two transfer encodings in one header":  post("Transfer-Encoding: chunked, identity\r\n", chunks),
			"an unknown transfer encoding":          post("Transfer-Encoding: xchunked\r\n", chunks),
			"a compressed transfer encoding":        post("Transfer-Encoding: gzip, chunked\r\n", chunks),
			"chunks over HTTP/1.0":                  strings.Replace(post("Transfer-Encoding: chunked\r\n", chunks), "HTTP/1.1", "HTTP/1.0", 1),
			"chunks with a bare LF":                 post("Transfer-Encoding: chunked\r\n", "3\na=b\n0\n\n"),
			"chunks with a bare LF in an extension": post("Transfer-Encoding: chunked\r\n", "3;x\na=b\r\n"+chunks),
			"chunks with a long extension":          post("Transfer-Encoding: chunked\r\n", "3;"+strings.Repeat("x", 20000)+"\r\na=b\r\n"+chunks),
			"a chunk of negative size":              post("Transfer-Encoding: chunked\r\n", "-3\r\na=b\r\n"+chunks),
			"a chunk of huge size":                  post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\na=b\r\n"+chunks),
			"two different Content-Lengths":         post("Content-Length: 3\r\nContent-Length: 0\r\n", "a=b"),
			"a list of Content-Lengths":             post("Content-Length: 3, 3\r\n", "a=b"),
			"a Content-Length with a sign":          post("Content-Length: +3\r\n", "a=b"),
			"a negative Content-Length":             post("Content-Length: -3\r\n", "a=b"),
			"a hexadecimal Content-Length":          post("Content-Length: 0x3\r\n", "a=b"),
			"a Content-Length with a blank inside":  post("Content-Length: 1 3\r\n", "a=b"),
			"an empty Content-Length":               post("Content-Length:\r\n", "a=b"),
			"two hosts":                             start("GET", "/health/live") + "Host: attacker.example\r\n\r\n",
			"a folded host":                         "GET /health/live HTTP/1.1\r\nHost: " + host + "\r\n attacker.example\r\n\r\n",
			"no host":                               "GET /health/live HTTP/1.1\r\n\r\n",
			"a host with a blank":                   "GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n",
			"a blank before a colon":                start("GET", "/health/live") + "X-A : b\r\n\r\n",
			"a header without a name":               start("GET", "/health/live") + ": b\r\n\r\n",
			"a header without a colon":              start("GET", "/health/live") + "X-A\r\n\r\n",
			"NUL in a header":                       start("GET", "/health/live") + "X-A: b\x00c\r\n\r\n",
			"a bare CR in a header":                 start("GET", "/health/live") + "X-A: b\rX-C: d\r\n\r\n",
			"a folded first header":                 "GET /health/live HTTP/1.1\r\n X-A: b\r\nHost: " + host + "\r\n\r\n",
			"a blank in the target":                 start("GET", "/health/live /jwks") + "\r\n",
			"a target that is no path":              start("GET", "health/live") + "\r\n",
			"a version of three digits":             "GET /health/live HTTP/1.10\r\nHost: " + host + "\r\n\r\n",
			"two blanks before the version":         "GET /health/live  HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			"the preface of HTTP/2":                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		}) {
			t.Run("refuses to go on after "+name+listener, func(t *testing.T) {
				answers := speak(t, w, host, sent+hidden)
				if len(answers) > 1 || len(answers) == 1 && (!answers[0].last || answers[0].status < 400) {
					t.Errorf("answered %+v", answers)
				}
			})
		}
		for name, sent := range fapitest.Sorted(map[string]string{
			"two requests":                    start("GET", "/jwks") + "\r\n",
			"an unknown header":               start("GET", "/jwks") + "X-A: b\r\n\r\n",
			"a folded header":                 start("GET", "/jwks") + "X-A: b\r\n c\r\n\r\n",
			"a body of a form":                post("Content-Length: 3\r\n", "a=b"),
			"one Content-Length, given twice": post("Content-Length: 3\r\nContent-Length: 3\r\n", "a=b"),
		}) {
			t.Run("accepts another request after "+name+listener, func(t *testing.T) {
				if answers := speak(t, w, host, sent+hidden); len(answers) != 2 || answers[1].status != http.StatusUnsupportedMediaType {
					t.Errorf("answered %+v", answers)
				}
			})
		}
		t.Run("refuses to take a body for a request"+listener, func(t *testing.T) {
			sent := start("GET", "/jwks") + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden))
			if answers := speak(t, w, host, sent+hidden); len(answers) != 1 {
				t.Errorf("answered %+v", answers)
			}
		})
	}
	t.Run("accepts a form in chunks", func(t *testing.T) {
		c := w.Register("client-1", nil)
		form := c.AuthorizationForm()
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.ClientAssertion(nil))
		request, err := http.NewRequest(http.MethodPost, w.Issuer+"/par", io.MultiReader(strings.NewReader(form.Encode()))) // of unknown length
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		fapitest.Good("", nil).Check(t, c.Do(request))
	})
	t.Run("refuses to let the Host header name the server", func(t *testing.T) {
		answers := speak(t, w, fapitest.MustURL(t, w.Issuer).Host, "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n")
		if len(answers) != 1 || strings.Contains(answers[0].body, "attacker.example") || !strings.Contains(answers[0].body, w.Issuer) {
			t.Errorf("answered %+v", answers)
		}
	})
}

// said is one answer on a connection.
type said struct {
	status int
	last   bool // the server closes the connection after it
	body   string
}

// speak sends bytes to the server as they are and gives what it answered until it closed the connection.
func speak(t *testing.T, w *fapitest.World, host, sent string) []said {
	t.Helper()
	connection, err := tls.Dial("tcp", host, &tls.Config{RootCAs: w.Roots, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// A server that has read enough closes the connection while the rest is on its way.
	if _, err := io.WriteString(connection, sent); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	_ = connection.CloseWrite()
	var answers []said
	for reader := bufio.NewReader(connection); ; {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return answers // the connection is closed
		}
		body, err := io.ReadAll(response.Body)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		answers = append(answers, said{response.StatusCode, response.Close, string(body)})
	}
}
