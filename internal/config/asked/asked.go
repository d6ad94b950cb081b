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
