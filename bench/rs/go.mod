module countersign/bench/rs

go 1.26.10

toolchain go1.27.3

require (
	countersign v0.0.0
	github.com/coreos/go-oidc/v3 v3.21.0
	github.com/lestrrat-go/jwx/v4 v4.6.0
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/go-jose/go-jose/v4 v4.1.9 // indirect
	github.com/lestrrat-go/dsig v1.4.0 // indirect
	github.com/lestrrat-go/option/v3 v3.0.0-alpha1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/oauth2 v0.36.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace countersign => ../..
