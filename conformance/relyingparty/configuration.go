package relyingparty

import (
	"io"
	"strings"
	"time"

	"countersign/conformance/keys"
)

// What a client that gets encrypted ID tokens is registered with (RFC 7518 §4.3, §5.3).
const (
	encryptionAlgorithm = "RSA-OAEP-256"
	encryptionContent   = "A256GCM"
)

// The types of authorization_details that the suite is told to know (RFC 9396 §2).
const detailsType = "account_information"

// configuration is what a plan is made with.
type configuration struct {
	Alias       string `json:"alias"`
	Description string `json:"description"`
	// Wait is how many seconds the suite waits for a client that has to stop.
	Wait     int                  `json:"waitTimeoutSeconds"`
	Server   serverConfiguration  `json:"server"`
	Client   clientConfiguration  `json:"client"`
	Client2  *clientConfiguration `json:"client2,omitempty"`
	Resource *resource            `json:"resource,omitempty"`
}

// serverConfiguration is the provider that the suite plays, with private keys.
type serverConfiguration struct {
	JWKS keySet `json:"jwks"`
}

type keySet struct {
	Keys []keys.JWK `json:"keys"`
}

type resource struct {
	Types []string `json:"authorization_details_types_supported"`
}

// clientConfiguration is a client as the suite wants it.
type clientConfiguration struct {
	ClientID               string  `json:"client_id"`
	Secret                 string  `json:"client_secret,omitempty"`
	Scope                  string  `json:"scope,omitempty"`
	RedirectURI            string  `json:"redirect_uri"`
	JWKS                   *keySet `json:"jwks,omitempty"`
	Certificate            string  `json:"certificate,omitempty"`
	IDTokenEncryption      string  `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenContent         string  `json:"id_token_encrypted_response_enc,omitempty"`
	RequestAlgorithm       string  `json:"request_object_signing_alg,omitempty"`
	RequestType            string  `json:"request_type,omitempty"`
	NotificationEndpoint   string  `json:"backchannel_client_notification_endpoint,omitempty"`
	PostLogoutRedirectURI  string  `json:"post_logout_redirect_uri,omitempty"`
	BackchannelLogoutURI   string  `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutBySID bool    `json:"backchannel_logout_session_required,omitempty"`
}

// addresses are where a plan's client is reached.
type addresses struct {
	// redirect is the redirect URI, notification where pings come in, postLogout where a logout ends, and backLogout where logout
	// tokens come in.
	redirect, notification, postLogout, backLogout string
}

// clientAddresses are those of a plan's client at its site. They are those of a handler of package rp. But for the plans about logout nothing ever reaches
// the redirect URI: the driver reads the answer from the redirection.
func clientAddresses(p plan, base string) addresses {
	a := addresses{redirect: base + prefix + "/callback"}
	if p.is("ciba_mode", "ping") {
		a.notification = base + prefix + "/ciba-ping"
	}
	if p.logout() {
		a.postLogout, a.backLogout = base+prefix+"/logged-out", base+prefix+"/backchannel-logout"
	}
	return a
}

// prefix is that of the handler of package rp.
const prefix = "/auth"

// identities makes a plan's clients: one, and in FAPI 1.0 a second that gets its ID tokens encrypted.
func identities(random io.Reader, p plan, alias, algorithm string, now time.Time) ([]identity, error) {
	first, err := newIdentity(random, p, alias, algorithm, false, now)
	if err != nil {
		return nil, err
	}
	made := []identity{first}
	if p.suitePlan == fapi1Advanced && !p.jarm() {
		second, err := newIdentity(random, p, alias+"-2", algorithm, true, now)
		if err != nil {
			return nil, err
		}
		made = append(made, second)
	}
	return made, nil
}

// configure writes a plan's configuration. The provider signs with the key that is given.
func (p plan) configure(alias string, wait time.Duration, server keys.JWK, clients []identity, at addresses) configuration {
	made := configuration{
		Alias: alias, Description: "Countersign rp " + p.name, Wait: int(wait / time.Second),
		Server: serverConfiguration{JWKS: keySet{Keys: []keys.JWK{server}}},
		Client: p.clientConfiguration(clients[0], at),
	}
	if len(clients) > 1 {
		second := p.clientConfiguration(clients[1], at)
		made.Client2 = &second
	}
	if p.is("authorization_request_type", "rar") {
		made.Resource = &resource{Types: []string{detailsType}}
	}
	return made
}

func (p plan) clientConfiguration(who identity, at addresses) clientConfiguration {
	made := clientConfiguration{
		ClientID: who.id, Scope: strings.Join(p.scopes(), " "), RedirectURI: at.redirect, Certificate: who.shown,
		NotificationEndpoint: at.notification, PostLogoutRedirectURI: at.postLogout, BackchannelLogoutURI: at.backLogout,
		BackchannelLogoutBySID: at.backLogout != "",
	}
	if p.plainSecret() {
		made.Secret = who.secret
	}
	if !p.plainSecret() || p.signed() {
		made.JWKS = &keySet{Keys: []keys.JWK{who.public}}
	}
	if p.signed() && p.plainOIDC() {
		made.RequestAlgorithm, made.RequestType = who.key.Algorithm(), "request_object"
	}
	if who.decrypter != nil {
		made.JWKS.Keys = append(made.JWKS.Keys, who.encryption)
		made.IDTokenEncryption, made.IDTokenContent = encryptionAlgorithm, encryptionContent
	}
	return made
}

// plainSecret reports whether the client authenticates by a secret.
func (p plan) plainSecret() bool {
	return p.suitePlan == oidcBasic || p.suitePlan == oidcFormPost || p.is("client_auth_type", "client_secret_basic")
}

// scopes are what the client asks for.
func (p plan) scopes() []string {
	switch {
	case p.plainOIDC():
		return []string{"openid", "profile", "email", "address", "phone"}
	case p.profile() == auConnectID:
		return []string{"openid"}
	case p.openID():
		return []string{"openid", "accounts"}
	}
	return []string{"accounts"}
}
