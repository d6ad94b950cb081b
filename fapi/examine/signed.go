package examine

import (
	"context"
	"strings"

	"countersign/dpop"
	"countersign/fapi/assertion"
	"countersign/fapi/authorize/object"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/request"
	"countersign/internal/finding"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
)

// Assertion examines a client assertion (RFC 7523 §3) that would be sent to the endpoint with a path, such as "/token". clientID may
// be empty: then it is the assertion that names the client.
func (e *Examiner) Assertion(ctx context.Context, clientID, raw, path string) (*Report, error) {
	r, read := e.report(Assertion), new(assertion.Assertion)
	parsed := r.all(read.Parse(raw, clientID))
	if read.Token != nil {
		r.header(read.Token.Header)
		r.fact("iss", shown(read.Issuer))
		r.fact("sub", shown(read.Subject))
	}
	if !parsed && clientID == "" {
		return r, nil
	}
	if clientID == "" {
		clientID = read.Subject
	}
	caller, err := e.client(ctx, r, clientID)
	if err != nil || caller == nil || read.Token == nil {
		return r, err
	}
	rules, of := e.Authenticator.AssertionRules(path), caller.Profile
	r.fact("aud", quoted(read.Audience.Values))
	r.fact("aud accepted", rules.Audiences(of.AssertionAudience))
	r.fact("alg accepted", strings.Join(caller.AssertionAlgorithms(), ", "))
	r.date("exp", read.Expires, "; at most "+(of.MaxAssertionLifetime+of.MaxAhead).String()+" ahead")
	r.date("nbf", read.NotBefore, "; at most "+of.MaxAhead.String()+" ahead")
	r.date("iat", read.IssuedAt, "; at most "+of.MaxAhead.String()+" ahead")
	r.rule("method", endpoint.CheckMethod(caller, true))
	r.all(rules.Findings(ctx, caller, read))
	if key := read.Token.VerifiedWith(); key.Public != nil {
		r.fact("signed by", named(key))
	}
	if read.Expires == nil || read.ID == "" {
		return r, nil
	}
	return r, e.replay(ctx, r, read.OneTime(caller))
}

// Proven is what a DPoP proof comes with.
type Proven struct {
	// Method is the HTTP method, and URL the address of the request, of one of the listeners.
	Method, URL string
	// AccessToken is that of a request to a resource, or empty.
	AccessToken string
	// Thumbprint is that of the key to which a code, grant or token is bound; empty compares with none.
	Thumbprint string
}

// Proof examines a DPoP proof (RFC 9449 §4.3). Without a clientID nothing is said of the client.
func (e *Examiner) Proof(ctx context.Context, clientID, raw string, with Proven) (*Report, error) {
	r := e.report(Proof)
	if clientID != "" {
		caller, err := e.client(ctx, r, clientID)
		if err != nil {
			return r, err
		}
		if caller != nil {
			r.rule(finding.Binding, endpoint.CheckBinding(caller))
		}
	}
	r.rule("address", e.checkURL(with.URL))
	if token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: e.Proofs.Policy.Algorithms, AllowJWK: true}); err == nil {
		r.header(token.Header)
		var claims struct {
			Method   string            `json:"htm"`
			Address  string            `json:"htu"`
			IssuedAt *jose.NumericDate `json:"iat"`
		}
		if token.Claims(&claims) == nil {
			r.fact("htm", shown(claims.Method))
			r.fact("htu", shown(claims.Address))
			r.date("iat", claims.IssuedAt, "; at most "+e.Proofs.Policy.MaxAge.String()+" ago and "+e.Proofs.Policy.MaxAhead.String()+" ahead")
		}
	}
	r.fact("request", with.Method+" "+with.URL)
	var verified dpop.Proof
	request := dpop.Request{Method: with.Method, URLs: []string{with.URL}, AccessToken: with.AccessToken}
	if !r.all(e.Proofs.Findings(raw, request, &verified)) && verified.JKT == "" {
		return r, nil
	}
	r.fact("jkt", verified.JKT)
	if with.Thumbprint != "" {
		var err error
		if verified.JKT != with.Thumbprint {
			err = oauth.Errorf(oauth.InvalidDPoPProof, "the proof is of another key than the one with the thumbprint %s", with.Thumbprint)
		}
		r.rule("jkt", err)
	}
	return r, e.replay(ctx, r, endpoint.OneTimeOf(verified))
}

// checkURL refuses what is no address below one of the listeners: htu is compared with no others.
func (e *Examiner) checkURL(address string) error {
	for _, base := range []string{e.Addresses.Issuer, e.Addresses.MTLSIssuer} {
		if base != "" && strings.HasPrefix(address, base+"/") {
			return nil
		}
	}
	return oauth.Errorf(oauth.InvalidRequest, "%s is no address of this server: its addresses begin with %s", shown(address),
		strings.TrimSuffix(e.Addresses.Issuer+" and "+e.Addresses.MTLSIssuer, " and "))
}

// RequestObject examines a request object (RFC 9101) that would be pushed, or sent by value to the authorization endpoint.
func (e *Examiner) RequestObject(ctx context.Context, clientID, raw string, byValue bool) (*Report, error) {
	r := e.report(RequestObject)
	caller, err := e.client(ctx, r, clientID)
	if err != nil || caller == nil {
		return r, err
	}
	r.rule(finding.Given, object.Admit(caller, true))
	opened, err := object.Open(ctx, e.Signer, caller, raw)
	if err != nil {
		if _, refused := oauthError(err); !refused {
			return r, err
		}
		rule := jar.BrokenRule(err)
		if rule == "" {
			rule = finding.Form // it could not be decrypted
		}
		r.rule(rule, err)
		return r, nil
	}
	r.object(caller, opened)
	for _, rule := range []string{finding.Form, finding.Type, finding.Claims} {
		r.rule(rule, nil)
	}
	var verified object.Verified
	r.all(object.Rules{Issuer: e.Addresses.Issuer, Keys: e.Keys, Now: e.Now()}.Findings(ctx, caller, opened, &verified))
	if verified.SignedBy.Public != nil {
		r.fact("signed by", named(verified.SignedBy))
	}
	return r, e.parameters(ctx, r, caller, verified.Form, byValue)
}

// parameters examines those inside an object.
func (e *Examiner) parameters(ctx context.Context, r *Report, caller *client.Client, form oauth.Form, byValue bool) error {
	at := request.Pushed
	if byValue {
		at = request.ByValue
	}
	for _, name := range []string{"response_type", "response_mode", "redirect_uri", "scope", "code_challenge_method", "acr_values", "resource"} {
		r.fact(name, quoted(form.All(name)))
	}
	var read request.Request
	for rule, err := range e.Checker.Findings(ctx, at, caller, form, &read) {
		if err != nil {
			if _, refused := oauthError(err); !refused {
				return err
			}
		}
		r.rule(rule, err)
	}
	if read.Consent == "" {
		return nil
	}
	_, err := e.Consents.Check(ctx, caller, read.Consent, read.Scopes)
	if _, refused := oauthError(err); err != nil && !refused {
		return err
	}
	r.rule(finding.Consent, err)
	return nil
}

// object adds what an object says.
func (r *Report) object(caller *client.Client, opened *jar.Object) {
	c, of := opened.Unbelieved(), caller.Profile
	r.fact("alg", c.Algorithm)
	r.fact("kid", shown(c.KeyID))
	r.fact("typ", shown(c.Type))
	r.fact("iss", shown(c.Issuer))
	r.fact("aud", quoted(c.Audience))
	r.fact("alg accepted", strings.Join(caller.RequestAlgorithms(caller.Metadata.RequestObjectSigningAlg), ", "))
	r.time("nbf", c.NotBefore, "; at most "+of.MaxRequestObjectAge.String()+" ago and "+of.MaxAhead.String()+" ahead")
	r.time("exp", c.Expires, "; at most "+of.MaxRequestObjectLifetime.String()+" after nbf")
	r.time("iat", c.IssuedAt, "; at most "+of.MaxAhead.String()+" ahead")
	r.fact("members", quoted(opened.Members()))
}

// header adds what a header says.
func (r *Report) header(h jose.Header) {
	r.fact("alg", h.Algorithm)
	r.fact("kid", shown(h.KeyID))
	r.fact("typ", shown(h.Type))
}

func (r *Report) date(name string, date *jose.NumericDate, bounds string) {
	if date == nil {
		r.fact(name, "none")
		return
	}
	r.time(name, date.Time(), bounds)
}

// named is a key by its kid and thumbprint.
func named(key jose.Key) string {
	text := "the key with the thumbprint " + key.Thumbprint()
	if key.ID != "" {
		text = "kid " + shown(key.ID) + ", thumbprint " + key.Thumbprint()
	}
	return text
}
