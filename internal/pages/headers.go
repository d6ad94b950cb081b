package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"strings"
)

// contentPolicy is the Content-Security-Policy of the pages: only the inline style sheet (by its digest), and images of data:
// and of the brand. No framing (RFC 9700 §4.16), no base, and only the scripts that a page names.
type contentPolicy string

func newContentPolicy(style template.CSS, images string) contentPolicy {
	if images != "" {
		images = " " + images
	}
	digest := sha256.Sum256([]byte(style))
	return contentPolicy("default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; img-src data:" + images + "; frame-ancestors 'none'; base-uri 'none'; form-action ")
}

// withoutForm is for a page without a form.
func (c contentPolicy) withoutForm() string { return string(c) + "'none'" }

// withOwnForm is for a page whose forms are answered by this server, with pages of its own.
func (c contentPolicy) withOwnForm() string { return string(c) + "'self'" }

// withForm is for a page whose form is answered with a redirect to the client.
//
// Chromium applies form-action to all redirects after the form, those of the client's own site included, which are
// not known here: a client may redirect from its redirect URI to another host. So https is allowed, and http only to
// the loopback address that this client registered (FAPI 2.0 Security Profile §5.3.2.2-8).
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

// withPasskey is withForm for a page with the passkey script; it needs the issuer's address.
func (c contentPolicy) withPasskey(redirectHost, issuer string) string {
	return c.withForm(redirectHost) + "; script-src " + issuer + passkeyScript + noInjection
}

// noInjection keeps scripts from turning text into markup or code (Trusted Types).
const noInjection = "; require-trusted-types-for 'script'; trusted-types 'none'"

// withDevice is for the pages of the device: forms post to this server only, and two scripts and a worker are allowed
// by their URLs.
func (c contentPolicy) withDevice(issuer string) string {
	home := issuer + "/device"
	policy := strings.Replace(string(c), "img-src data:", "img-src data: "+home+"/", 1)
	return policy + "'self'; script-src " + issuer + passkeyScript + " " + issuer + deviceScript + "; worker-src " + issuer + workerScript +
		"; connect-src " + home + "/events; manifest-src " + issuer + manifestFile +
		strings.Replace(noInjection, "'none'", "countersign-worker", 1) // the address of the worker is the one exception
}

// permissions turns off browser features that the pages do not need.
const permissions = "camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()"

// setHeaders sets the headers of every page. Some are set by the server too.
func setHeaders(header http.Header, policy string) {
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	if header.Get("Strict-Transport-Security") == "" { // set by the server as it is configured
		header.Set("Strict-Transport-Security", "max-age=63072000")
	}
	header.Set("Permissions-Policy", permissions)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}
