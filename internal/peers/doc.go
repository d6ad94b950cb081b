// Package peers holds tests and nothing else: clients that nobody here wrote talk to the real server. They are the npm
// packages openid-client and oauth4webapi, of which the first is certified for FAPI 2.0, and express-openid-connect with sessions and a
// handler for back-channel logout. package-lock.json pins them.
//
// Each script of this folder is a theme, and each of its cases a subtest that accepts or refuses something:
//
//	go test -v ./internal/peers
//	go test -v -run 'TestPeers/nonces/dpop' ./internal/peers
package peers
