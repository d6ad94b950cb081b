// Package signin is the part of the configuration about who signs users in, where the built-in pages do not.
package signin

import (
	"net/url"
	"slices"
	"strings"

	"countersign/fapi/claims"
	"countersign/internal/config/value"
	"countersign/internal/suggest"
)

// Login is a login of the operator's own.
type Login struct {
	Address          string         `toml:"address" doc:"The https address to which browsers are sent, with the parameter handle; empty leaves everything to the built-in pages."`
	HandOff          string         `toml:"hand_off" default:"login-and-consent" enum:"login,consent,login-and-consent" doc:"What is done there: signing in, deciding what an application may do, or both."`
	ACRValues        string         `toml:"acr_values" doc:"Authentication context classes that the login may claim, best first, separated by spaces. With hand_off consent and without confirmations it claims none. An answer with another is refused."`
	AnswerWithin     value.Duration `toml:"answer_within" default:"5m" min:"10s" max:"1h" doc:"How long the login may take to answer; after that the application is told that nobody decided."`
	CertificateFile  value.File     `toml:"certificate_file" doc:"Certificates, PEM, by which the login's backend authenticates on listen_mtls; whoever has issued them. Two during a change. It is read again when it changes."`
	CertificateDN    string         `toml:"certificate_dn" doc:"Subject (RFC 4514) of the certificate by which it authenticates, in place of certificate_file; an authority of listen_mtls.client_ca_file has issued it."`
	Confirmations    bool           `toml:"confirmations" default:"false" doc:"Let the login's backend read and decide what applications ask users on their own devices (CIBA), for an application of your own. The pages under /device and approval apps then decide nothing."`
	HintsAddress     string         `toml:"hints_address" doc:"The https address at which the login says whom the login_hint and login_hint_token of backchannel requests (CIBA) mean, in place of ciba.login_hint; empty asks the built-in directory. A login_hint_token of ciba.login_hint_issuers is verified here first; where there are none, it goes there as it is."`
	HintsCertificate value.File     `toml:"hints_certificate_file" doc:"Certificate, PEM, that is shown at hints_address."`
	HintsKey         value.Secret   `toml:"hints_key_file" doc:"Private key of that certificate, PEM."`
	HintsNetworks    string         `toml:"hints_networks" doc:"Networks that are not public and in which hints_address may be, such as 10.1.2.0/28, separated by spaces. Without them only public addresses are reached. Its certificate is of an authority of outbound.ca_file."`
	ClientID         string         `toml:"client_id" doc:"With issuer, the client that this server is there. Else the registered client that the login's backend is, in place of a certificate: it calls with access tokens of the grant client_credentials and the scope login, bound by DPoP or to its certificate."`

	Issuer            string       `toml:"issuer" doc:"An OpenID Provider elsewhere that signs users in, such as Entra ID, Keycloak or PingFederate, in place of address: its issuer identifier, an https address. What an application may do is asked here. See docs/upstream-login.md."`
	Authentication    string       `toml:"issuer_authentication" default:"private_key_jwt" enum:"private_key_jwt,tls_client_auth" doc:"How this server authenticates to issuer: private_key_jwt by the key in the HSM with the use login, which is in this server's jwks_uri, or tls_client_auth by issuer_certificate_file. There are no client secrets."`
	Algorithm         string       `toml:"issuer_algorithm" default:"PS256" enum:"PS256,ES256,EdDSA" doc:"What this server signs with for issuer: client assertions and DPoP proofs. A key of it with the use login has to be active."`
	ClientCertificate value.File   `toml:"issuer_certificate_file" doc:"Certificate, PEM, by which this server authenticates to issuer with tls_client_auth. Read again when it changes."`
	ClientKey         value.Secret `toml:"issuer_key_file" doc:"Private key of that certificate, PEM."`
	Weak              string       `toml:"weak" lax:"other" doc:"What issuer lacks of the FAPI 2.0 Security Profile, separated by spaces, each thing by its name: no_par, no_iss, unannounced_pkce, bearer, rs256, token_endpoint_audience, untyped_logout_token. Without any the provider must lack nothing."`
	Scopes            string       `toml:"scopes" default:"openid profile email" doc:"Scope values that issuer is asked for; openid is among them."`
	Claims            string       `toml:"claims" default:"name given_name family_name email email_verified" doc:"Claims about users (OpenID Connect Core §5.1) that are taken over from issuer at each sign-in, separated by spaces; one that it calls otherwise as NAME=ITS_NAME."`
	UserInfo          bool         `toml:"userinfo" default:"false" doc:"Ask issuer's UserInfo endpoint for these claims too, beside the ID token."`
	Username          string       `toml:"username_claim" default:"preferred_username" doc:"Claim of issuer that says what a user is called on pages, unless somebody else here is. It identifies nobody: that is issuer and sub."`
	Users             string       `toml:"users" default:"any" enum:"any,known" doc:"Who may sign in by issuer: any user that it knows, who is then known here too, or those alone who are known here before (countersign users upstream-subject)."`
	SignOut           bool         `toml:"sign_out" default:"true" lax:"other" doc:"Go on to issuer's end_session_endpoint when a user signs out here."`
	IssuerNetworks    string       `toml:"issuer_networks" doc:"Networks that are not public and in which issuer may be, such as 10.1.2.0/28, separated by spaces. Without them only public addresses are reached. Its certificate is of an authority of outbound.ca_file."`
	Classes           []Class      `toml:"classes" doc:"What a sign-in at issuer counts as, the first that fits. A sign-in that fits none is refused."`
}

// Class is what a sign-in at an upstream provider counts as.
type Class struct {
	Upstream string `toml:"upstream" doc:"The provider's acr; empty for a sign-in of which it says none."`
	With     string `toml:"with" doc:"Methods that its amr must name too (RFC 8176), separated by spaces, such as mfa."`
	ACR      string `toml:"acr" required:"true" doc:"The class here, by which applications ask for it."`
	AMR      string `toml:"amr" required:"true" doc:"The methods of such a sign-in where the provider names none, separated by spaces, such as pwd."`
}

// Weaknesses are the names of what a provider may lack.
func Weaknesses() []string {
	return []string{"no_par", "no_iss", "unannounced_pkce", "bearer", "rs256", "token_endpoint_audience", "untyped_logout_token"}
}

// Claim is one that is taken over.
type Claim struct{ Name, From string }

// TakenOver are the claims that are taken over.
func (l Login) TakenOver() []Claim {
	var all []Claim
	for text := range strings.FieldsSeq(l.Claims) {
		name, from, renamed := strings.Cut(text, "=")
		if !renamed {
			from = name
		}
		all = append(all, Claim{name, from})
	}
	return all
}

// Problem is what is wrong with a key of the table.
type Problem struct{ Key, Value, Text string }

// UpstreamProblems lists what is wrong with the keys of an upstream provider. own is the issuer of this server, ciba whether applications ask
// users on their devices.
func (l Login) UpstreamProblems(own string, ciba bool) (problems []Problem) {
	add := func(key, value, text string) { problems = append(problems, Problem{key, value, text}) }
	texts := []struct{ key, value string }{
		{"weak", l.Weak}, {"issuer_certificate_file", string(l.ClientCertificate)}, {"issuer_networks", l.IssuerNetworks},
	}
	if l.Issuer == "" {
		for _, each := range texts {
			if each.value != "" {
				add(each.key, each.value, "has no meaning without login.issuer; set it too")
			}
		}
		if len(l.Classes) > 0 {
			add("classes", "", "has no meaning without login.issuer; set it too")
		}
		return problems
	}
	u, err := url.Parse(l.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Contains(l.Issuer, "#"):
		add("issuer", l.Issuer, `not an issuer: an https address without user information, query and fragment, such as "https://login.microsoftonline.com/TENANT/v2.0"`)
	case l.Issuer == own:
		add("issuer", l.Issuer, "is this server itself")
	}
	for _, each := range []struct{ key, value string }{
		{"address", l.Address}, {"acr_values", l.ACRValues}, {"certificate_file", string(l.CertificateFile)}, {"certificate_dn", l.CertificateDN},
		{"hints_address", l.HintsAddress},
	} {
		if each.value != "" {
			add(each.key, each.value, "belongs to a login of your own; with login.issuer leave it out")
		}
	}
	if l.ClientID == "" {
		add("client_id", "", "missing: with login.issuer it is the client that this server is registered as there")
	}
	if ciba || l.Confirmations {
		add("issuer", l.Issuer, "signs users in by a browser alone: users cannot be asked on their devices; leave out ciba.enabled and login.confirmations")
	}
	if !slices.Contains(strings.Fields(l.Scopes), "openid") {
		add("scopes", l.Scopes, "lacks openid, without which nobody is identified (OpenID Connect Core §3.1.2.1)")
	}
	return append(append(append(problems, l.credentials()...), l.named()...), l.classes()...)
}

// credentials wants what belongs to the way to authenticate.
func (l Login) credentials() (problems []Problem) {
	whole := l.ClientCertificate != "" && l.ClientKey != ""
	switch {
	case l.Authentication == "tls_client_auth" && !whole:
		return []Problem{{"issuer_certificate_file", string(l.ClientCertificate), "missing, or login.issuer_key_file is: tls_client_auth needs both"}}
	case l.Authentication != "tls_client_auth" && (l.ClientCertificate != "" || l.ClientKey != ""):
		return []Problem{{"issuer_certificate_file", string(l.ClientCertificate), `belongs to issuer_authentication = "tls_client_auth"; leave it out`}}
	}
	return nil
}

// named wants names of weaknesses and claims that there are.
func (l Login) named() (problems []Problem) {
	for name := range strings.FieldsSeq(l.Weak) {
		switch {
		case name == "client_secret" || name == "public_client" || name == "no_pkce":
			problems = append(problems, Problem{"weak", name, "is nothing that this server does: it authenticates by private_key_jwt or tls_client_auth, and sends PKCE"})
		case !slices.Contains(Weaknesses(), name):
			problems = append(problems, Problem{"weak", name, "not known; " + suggest.Hint(name, Weaknesses(), "known are "+strings.Join(Weaknesses(), ", "))})
		}
	}
	known, seen := claims.Known(), map[string]bool{}
	for _, claim := range l.TakenOver() {
		switch {
		case !slices.Contains(known, claim.Name):
			problems = append(problems, Problem{"claims", claim.Name, "no claim about a user (OpenID Connect Core §5.1); " +
				suggest.Hint(claim.Name, known, "known are "+strings.Join(known, ", "))})
		case claim.From == "" || seen[claim.Name]:
			problems = append(problems, Problem{"claims", claim.Name, "named twice, or with nothing behind ="})
		}
		seen[claim.Name] = true
	}
	return problems
}

// classes wants one class or more, with names that can be told.
func (l Login) classes() (problems []Problem) {
	if len(l.Classes) == 0 {
		return []Problem{{"classes", "", `missing: say what a sign-in counts as, such as [[login.classes]] with upstream = "1", acr = "urn:bank.example:acr:sca" and amr = "mfa"`}}
	}
	odd := func(text string) bool {
		return len(text) > 256 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	}
	type condition struct{ upstream, with string }
	seen := map[condition]bool{}
	for _, class := range l.Classes {
		at := condition{class.Upstream, strings.Join(slices.Sorted(slices.Values(strings.Fields(class.With))), " ")}
		switch methods := strings.Fields(class.AMR); {
		case class.ACR == "0" || odd(class.ACR):
			problems = append(problems, Problem{"classes", class.ACR, "acr must be up to 256 printable ASCII characters, without quotes and backslashes, and not 0"})
		case odd(class.Upstream):
			problems = append(problems, Problem{"classes", class.Upstream, "upstream is no acr: up to 256 printable ASCII characters"})
		case len(methods) == 0 || len(methods) > 10 || slices.ContainsFunc(methods, func(m string) bool { return len(m) > 32 || odd(m) }):
			problems = append(problems, Problem{"classes", class.AMR, "amr must be 1 to 10 methods of up to 32 printable ASCII characters (RFC 8176)"})
		case seen[at]:
			problems = append(problems, Problem{"classes", class.ACR, "the same sign-in counts as another class before; keep one"})
		}
		seen[at] = true
	}
	return problems
}
