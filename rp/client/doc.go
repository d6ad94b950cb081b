// Package client is the protocol half of a relying party: an OAuth 2.0 and OpenID Connect client for providers that follow
// FAPI. It has no HTTP server, no cookies and no sessions; package rp has those, and is what a web application uses.
//
// [New] reads the provider's metadata (RFC 8414, OpenID Connect Discovery 1.0) and fails with a [*WeakProviderError] if the
// provider offers less than the [Profile] asks for. [Client.Authorize] begins a login or any other authorization, and
// [Client.Callback] ends it:
//
//	c, err := client.New(ctx, client.Config{
//		Issuer: "https://as.bank.example", ClientID: "app", RedirectURI: "https://app.example/callback",
//		Scopes: []string{"openid", "accounts"}, Auth: client.PrivateKeyJWT(key),
//	})
//	...
//	address, transaction, err := c.Authorize(ctx, client.AuthorizeOptions{})
//	// keep the transaction for this browser, under its State, and redirect to the address
//	...
//	tokens, err := c.Callback(ctx, transaction, r.URL.Query())
//	...
//	response, err := c.HTTP(tokens).Get("https://api.bank.example/accounts")
//
// What a profile forbids cannot be configured. What a plain provider lacks is named in [Weak], one field each. Only
// [Client.Callback], [Client.Refresh] and their like give tokens, and only after every check has passed.
//
// Whatever is fetched is bounded in size and time, by https only, and redirects are refused. Errors are matched by type:
// [*ProviderError], [*AuthorizationError], [*CheckError], [*WeakProviderError], [*ConfigError], [*UnavailableError].
//
// A [Client] is safe for concurrent use.
package client
