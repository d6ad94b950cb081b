package client

import (
	"context"
	"crypto/x509"
	"net/url"
	"time"

	"countersign/internal/jose"
	"countersign/internal/outbound"
)

// vouchedLifetime bounds how long the keys of a client of a directory are used without another look, whatever the directory's key
// store says: a key that was revoked is no longer there.
const vouchedLifetime = 5 * time.Minute

// KeyFetcher fetches the key sets of clients from their jwks_uri for a server with an issuer. Roots are the authorities that
// are trusted, nil the system's. vouched says that clients of directories may be served: then what is at any address is used for
// 5 minutes at most, because it is cached by the address, and any client can have registered that of another.
func KeyFetcher(issuer string, roots *x509.CertPool, vouched bool, now func() time.Time) jose.Fetch {
	// Beside the other fetcher: key sets may be larger than what that one fetches, and do not wait for it.
	fetcher := outbound.New(outbound.Policy{
		AllowLoopback: OnLoopback(issuer), Roots: roots, Now: now, MaxBody: jose.MaxKeySetSize,
	})
	return func(ctx context.Context, address string) ([]byte, time.Duration, error) {
		document, err := fetcher.Get(ctx, address, "application/jwk-set+json, application/json")
		age := document.MaxAge
		if c, ok := ctx.Value(caller{}).(*Client); vouched || ok && c.Directory != "" {
			age = min(age, vouchedLifetime)
		}
		return document.Body, age, err
	}
}

// OnLoopback reports whether an issuer is for this machine only.
func OnLoopback(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (IsLoopback(u.Hostname()) || u.Hostname() == "localhost")
}
