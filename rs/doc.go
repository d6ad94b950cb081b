// Package rs protects an HTTP or gRPC API by access tokens as FAPI 2.0 wants it: a request reaches the API only with a token of
// the right issuer, for this API, that is not expired, has the scopes, and is sent by the holder of the key or the certificate
// that it is bound to.
//
//	guard, err := rs.New(ctx, rs.Config{Issuer: "https://login.bank.example", Audience: "https://api.bank.example"})
//	...
//	mux.Handle("/accounts", guard.Require(rs.Scope("accounts"))(accounts))
//
// What is refused is answered with the status, the error code and the challenge that the specifications name: RFC 6750, RFC 9449
// for DPoP, RFC 9470 for step-up. [Token] is what the API learns; [FromContext] finds it.
//
// Tokens are JWTs (RFC 9068), verified by the issuer's keys, or are introspected (RFC 7662, RFC 9701). Bearer tokens that are
// bound to nothing are refused, unless [Weak] says otherwise. A DPoP proof is taken once, on all nodes that share a [Replay].
// Behind an ingress that terminates TLS the certificate comes through an [mtls.Gate].
//
// The caller provides the addresses, and where there are several nodes what they share: the [Replay] and the seeds of nonces.
// Package rs/grpcauth is the same for gRPC. The package issues nothing, keeps no sessions and redirects nobody.
package rs
