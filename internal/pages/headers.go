package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"strings"
)

// contentPolicy is the Content-Security-Policy of the pages: nothing but the one style sheet (by its digest) and the
// icon inside the page. No frame (RFC 9700 §4.16), no base, and no script but those that a page names.
type contentPolicy string

func newContentPolicy(style template.CSS) contentPolicy {
	digest := sha256.Sum256([]byte(style))
	return contentPolicy("default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action ")
}

// withoutForm is for a page on which nothing can be sent.
func (c contentPolicy) withoutForm() string { return string(c) + "'none'" }

// withForm is for a page whose form is answered with a redirect to the client.
//
// Chromium holds form-action against every redirect that follows a form, those of the client's own site included,
// and those are not known here: a client may well send the browser on from its redirect URI to its home page on
// another host. So https is allowed, and of http only the loopback address that this client registered (FAPI 2.0
// Security Profile §5.3.2.2-8).
func (c contentPolicy) withForm(redirectHost string) string {
	policy := string(c) + "'self' https:"
	host, _, err := net.SplitHostPort(redirectHost)
	if err != nil {
		host = strings.Trim(redirectHost, "[]")
	}
	switch ip := net.ParseIP(host); {
	case ip == nil || !ip.IsLoopback():
		return policy
	case ip.To4() == nil:
		// CSP has no notation for IPv6 addresses (CSP Level 3 §2.3.1).
		return policy + " http:"
	default:
		return policy + " http://" + redirectHost
	}
}

// withPasskey is withForm for a page that runs the one script for passkeys, where the issuer's address is known.
func (c contentPolicy) withPasskey(redirectHost, issuer string) string {
	return c.withForm(redirectHost) + "; script-src " + issuer + passkeyScript + noInjection
}

// noInjection keeps a script of ours from turning text into markup or code, whatever it is given.
const noInjection = "; require-trusted-types-for 'script'; trusted-types 'none'"

// withDevice is for the pages of the device: their forms stay here, and they run two scripts and a worker, each by its
// address.
func (c contentPolicy) withDevice(issuer string) string {
	home := issuer + "/device"
	policy := strings.Replace(string(c), "img-src data:", "img-src data: "+home+"/", 1)
	return policy + "'self'; script-src " + issuer + passkeyScript + " " + issuer + deviceScript + "; worker-src " + issuer + workerScript +
		"; connect-src " + home + "/events; manifest-src " + issuer + manifestFile +
		strings.Replace(noInjection, "'none'", "countersign-worker", 1) // the address of the worker is the one exception
}

// permissions turns off what a page of ours never needs and injected content might want.
const permissions = "camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()"

// setHeaders sets the headers of every page. Some repeat what the server sets already: the pages are safe without it.
func setHeaders(header http.Header, policy string) {
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains; preload")
	header.Set("Permissions-Policy", permissions)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}
