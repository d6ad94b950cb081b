// Package asked has the tables of the configuration that say what clients can ask for.
package asked

import "countersign/internal/config/value"

// ResourceServer is a protected resource elsewhere.
type ResourceServer struct {
	Identifier string `toml:"identifier" required:"true" doc:"Absolute URI: the value of the resource parameter and of aud."`
	Name       string `toml:"name" doc:"What users call it, on pages; empty means its host."`
	Scopes     string `toml:"scopes" doc:"Scope values that apply there, separated by spaces; empty means all."`
}

// AuthorizationDetail is a type of authorization_details.
type AuthorizationDetail struct {
	Type       string     `toml:"type" required:"true" doc:"The type's name."`
	SchemaFile value.File `toml:"schema_file" doc:"JSON Schema (2020-12) of one object of the type, with additionalProperties false and the annotations x-display, by which users read it; or use ready."`
	Accounts   string     `toml:"accounts" default:"request" enum:"request,login,claims-source" doc:"From where the user is offered what to choose for the lists of the type with offer that a request leaves empty, such as accounts: login (docs/own-login.md) or claims-source (docs/claims-source.md). With request a request names them itself."`
	Ready      string     `toml:"ready" doc:"A type that comes with the server, in place of schema_file: berlin-group-accounts, berlin-group-payment, brazil-accounts, brazil-data, brazil-payment, connectid-card-payment, ksa-accounts, openinsurance-data, uae-accounts, uae-payment, uk-accounts, uk-funds or uk-payment."`
}

// CIBA is backchannel authentication.
type CIBA struct {
	Enabled              bool           `toml:"enabled" default:"false" doc:"Offer /backchannel, where clients ask users, and the grant type that redeems what they allowed."`
	Lifetime             value.Duration `toml:"lifetime" default:"2m" min:"10s" max:"10m" doc:"How long a request waits for the user when its client requests no expiry."`
	MaxLifetime          value.Duration `toml:"max_lifetime" default:"10m" min:"10s" max:"1h" doc:"What a requested_expiry is cut to."`
	Interval             value.Duration `toml:"interval" default:"5s" min:"1s" max:"1m" doc:"Least time between two polls of one request. A client that polls sooner gets slow_down, and must wait 5s longer from then on."`
	LongPoll             value.Duration `toml:"long_poll" default:"0s" min:"0s" max:"15s" doc:"How long a poll is held while the request is pending; 0s answers at once. Clients must be ready for it (CIBA Core §11), and ingresses too."`
	PendingPerUser       int            `toml:"pending_per_person" lax:"more" default:"5" min:"1" max:"100" doc:"Requests of all clients that may be pending for one user at once."`
	PendingPerClient     int            `toml:"pending_per_client" lax:"more" default:"3" min:"1" max:"100" doc:"Requests of one client that may be pending for one user at once."`
	PendingPerOrg        int            `toml:"pending_per_organisation" lax:"more" default:"3" min:"1" max:"100" doc:"Requests of all clients of one organisation that may be pending for one user at once. One less than pending_per_person at most, so that others keep a place."`
	UserPerMinute        int            `toml:"person_per_minute" lax:"more" default:"3" min:"1" max:"60" doc:"How often a minute one client may ask one user, after a burst, on all nodes together."`
	UserBurst            int            `toml:"person_burst" lax:"more" default:"5" min:"1" max:"1000" doc:"How often one client may ask one user at once."`
	OrgPerMinute         int            `toml:"organisation_per_minute" lax:"more" default:"5" min:"1" max:"60" doc:"How often a minute all clients of one organisation together may ask one user, after a burst."`
	OrgBurst             int            `toml:"organisation_burst" lax:"more" default:"8" min:"1" max:"1000" doc:"How often they may ask one user at once."`
	TotalPerMinute       int            `toml:"total_per_minute" lax:"more" default:"20" min:"1" max:"60" doc:"How often a minute all clients together may ask one user, after a burst."`
	TotalBurst           int            `toml:"total_burst" lax:"more" default:"30" min:"1" max:"1000" doc:"How often they may ask one user at once."`
	DenialPause          value.Duration `toml:"denial_pause" lax:"less" default:"15s" min:"1s" max:"1h" doc:"How long an organisation waits before it may ask a user again who has denied three times in a row. It doubles with each denial after that, up to a day."`
	BindingMessage       string         `toml:"binding_message" lax:"other" default:"always" enum:"always,always_ask" doc:"Which requests without authorization_details need a binding_message (FAPI-CIBA §5.2.2-2): all of them, or those for a scope with always_ask."`
	LoginHint            string         `toml:"login_hint" default:"username" enum:"username,subject" doc:"What a login_hint is."`
	PingKeys             value.Secret   `toml:"ping_keys_file" doc:"File of keys, 32 bytes in base64url, one a line, that encrypt pending notifications in the database: the first encrypts, all decrypt. The same on all nodes. Without it clients poll. Made by: countersign keys ping-key."`
	ClientCertificate    value.File     `toml:"ping_certificate_file" doc:"Certificate, PEM, that is shown to notification endpoints that ask for one."`
	ClientCertificateKey value.Secret   `toml:"ping_key_file" doc:"Private key of that certificate, PEM."`

	HintIssuers []HintIssuer `toml:"login_hint_issuers" doc:"Whose login_hint_token is accepted. Without any there is no such hint."`
}

// HintIssuer signs login_hint_tokens.
type HintIssuer struct {
	Issuer   string     `toml:"issuer" required:"true" doc:"The iss of its tokens."`
	JWKSFile value.File `toml:"jwks_file" required:"true" doc:"Its public keys, a JWK Set."`
}

// Scope is a scope value.
type Scope struct {
	Name        string `toml:"name" required:"true" doc:"The scope value (RFC 6749 §3.3)."`
	Description string `toml:"description" required:"true" doc:"What the user allows, in one sentence."`
	AlwaysAsk   bool   `toml:"always_ask" default:"false" doc:"Ask the user each time, also for what was allowed before."`

	Descriptions map[string]string `toml:"descriptions" doc:"The sentence in other languages of brand.locales, by language, such as pt-BR; description is for the rest."`
}
