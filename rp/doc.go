// Package rp makes a web application a relying party of an OpenID Provider, by the FAPI 2.0 Security Profile unless it is told otherwise: pushed
// requests, PKCE, iss, private_key_jwt or mutual TLS, and access tokens that only this application can use.
//
//	app, err := rp.New(ctx, rp.Config{Issuer: "https://as.bank.example", BaseURL: "https://app.example", ClientID: "app", Key: key})
//	mux.Handle("/auth/", app.Handler("/auth"))
//	mux.Handle("/", app.Require()(home))
//
// In home, [FromContext] has the [Session]: who the user is, a current access token, an HTTP client that uses it. [New] fails if the provider offers less
// than the profile asks for; what a plain provider lacks is named in [client.Weak]. The protocol is in package client, where sessions are kept in package
// session.
//
// Whatever goes wrong leaves the session as it was, and is answered by a page or by a problem document (RFC 9457), as the request accepts, with a
// correlation id that is in the log. Errors are of type [*Error].
package rp
