package consents

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"

	"countersign/fapi/consents/shape"
	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/mtls"
	"countersign/mtls/dn"
	"countersign/signer"
	"countersign/store"
)

const jwtMedia = "application/jwt"

// KindMessage is the kind of the one-time values of signed requests.
const KindMessage = "consent_message"

// claims are those about a message (RFC 7519 §4.1).
type claims struct {
	Issuer    string            `json:"iss"`
	Audience  jose.Audience     `json:"aud"`
	ID        string            `json:"jti"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
}

// about are the names of those members.
var about = []string{"iss", "aud", "jti", "exp", "nbf", "iat", "sub"}

// verify verifies a signed request: its form, its signature by the client's keys, and the claims about it.
func (c *call) verify(body string) (received, error) {
	rules := c.shape.Signed
	token, err := jose.Parse(strings.TrimSpace(body), jose.ParseOptions{Algorithms: c.verifyAlgorithms()})
	if err != nil {
		return received{}, shape.Problemf(shape.Malformed, "", "the body is not a signed JWT of an algorithm of the client's profile").Because(err)
	}
	if typ := token.Header.Type; typ == "" && rules.TypeRequired || typ != "" && !token.Header.HasType("JWT") {
		return received{}, shape.Problemf(shape.Malformed, "typ", "typ has to be JWT")
	}
	if err := c.checkSignature(token); err != nil {
		return received{}, err
	}
	var read claims
	members := map[string]json.RawMessage{}
	if err := errors.Join(token.Claims(&read), token.Claims(&members)); err != nil {
		return received{}, shape.Problemf(shape.Malformed, "", "the claims are not JSON of the right types").Because(err)
	}
	if err := c.checkClaims(read); err != nil {
		return received{}, err
	}
	content := members[rules.Content]
	if rules.Content == "" {
		for _, name := range about {
			delete(members, name)
		}
		if content, err = json.Marshal(members); err != nil {
			return received{}, err
		}
	} else if content == nil {
		return received{}, shape.Problemf(shape.Missing, rules.Content, "%s is missing", rules.Content)
	}
	config := c.handler.config
	kept, err := config.Evidence.Message(c.Context(), audit.ConsentRequest, c.client.ID, token.Compact(), token.VerifiedWith(), c.personal()...)
	if err != nil {
		return received{}, err
	}
	return received{content: content, evidence: []store.Evidence{kept}, oneTimes: []store.OneTime{c.once(read, token)}}, nil
}

// personal are the members of messages that are about people, and withheld from the evidence.
func (c *call) personal() []string {
	if c.shape.Signed.Content != "" {
		return []string{c.shape.Signed.Content}
	}
	return []string{"data", "Data", "Risk"}
}

// checkClaims checks who a message is from and for, and when it was made.
func (c *call) checkClaims(read claims) error {
	rules, now := c.shape.Signed, c.handler.config.Now()
	wrong := func(name, format string, arguments ...any) error {
		return shape.Problemf(shape.Claim, name, name+" "+format, arguments...)
	}
	issuers := []string{c.client.ID}
	if rules.Issuer == "organisation" {
		issuers = c.organisations
	}
	if !slices.Contains(issuers, read.Issuer) || read.Issuer == "" {
		return wrong("iss", "is not the identifier of the client's %s", rules.Issuer)
	}
	audiences := []string{c.handler.config.Addresses.Issuer}
	if rules.Audience == "endpoint" {
		audiences = c.handler.config.Addresses.Of(c.handler.config.Addresses.Below(c.Request, c.at))
	}
	if !slices.ContainsFunc(audiences, read.Audience.Contains) {
		return wrong("aud", "does not name %s", strings.Join(audiences, " or "))
	}
	given := map[string]bool{"jti": read.ID != "", "exp": read.Expires != nil, "nbf": read.NotBefore != nil, "iat": read.IssuedAt != nil}
	for _, name := range rules.Required {
		if !given[name] {
			return wrong(name, "is missing")
		}
	}
	if read.ID != "" && (len(read.ID) > maxID || rules.Issuer == "organisation" && !random.IsUUID(read.ID)) {
		return wrong("jti", "is not a UUID, or too long")
	}
	ahead := c.client.Profile.MaxAhead
	made := read.IssuedAt
	if made == nil {
		made = read.NotBefore
	}
	switch {
	case read.Expires != nil && !now.Before(read.Expires.Time()):
		return wrong("exp", "is over")
	case read.NotBefore != nil && read.NotBefore.Time().After(now.Add(ahead)):
		return wrong("nbf", "is more than %s ahead; check the clock", ahead)
	case read.IssuedAt != nil && read.IssuedAt.Time().After(now.Add(ahead)):
		return wrong("iat", "is more than %s ahead; check the clock", ahead)
	case made == nil:
		return wrong("iat", "is missing")
	case now.Sub(made.Time()) > time.Duration(rules.MaxAge):
		return wrong("iat", "is more than %s ago", time.Duration(rules.MaxAge))
	}
	return nil
}

// once is the one-time value of a message: its jti, or the whole of it. It is kept until the message is too old on every node.
func (c *call) once(read claims, token *jose.Token) store.OneTime {
	value := "jwt\x00" + token.Compact()
	if read.ID != "" {
		value = "jti\x00" + read.ID
	}
	const skew = time.Minute
	return store.OneTime{
		Kind: KindMessage, Key: store.DigestOf(c.client.ID + "\x00" + value),
		Until: c.handler.config.Now().Add(time.Duration(c.shape.Signed.MaxAge) + c.client.Profile.MaxAhead + skew),
	}
}

// sign signs an answer about a consent.
func (c *call) sign(id string, body map[string]any) (string, store.Evidence, error) {
	config, rules := c.handler.config, c.shape.Signed
	now := config.Now()
	message := map[string]any{"iat": now.Unix(), "jti": random.UUID()}
	if rules.Content == "" {
		maps.Copy(message, body)
	} else {
		message[rules.Content] = body
	}
	message["iss"], message["aud"] = config.Addresses.Issuer, c.client.ID
	if rules.Issuer == "organisation" {
		if config.Settings.Organisation != "" {
			message["iss"] = config.Settings.Organisation
		}
		if len(c.organisations) > 0 {
			message["aud"] = c.organisations[0]
		}
	} else {
		message["aud"] = []string{c.client.ID}
	}
	if rules.Lifetime > 0 {
		message["nbf"], message["exp"] = now.Unix(), now.Add(time.Duration(rules.Lifetime)).Unix()
	}
	return config.Tokens.SignMessage(c.Context(), c.client, tokens.Message{
		Use: signer.UseHTTPMessage, Kind: audit.ConsentResponse, Algorithm: config.Tokens.AlgorithmFor(c.client, ""),
		Personal: c.personal(), Consent: id,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, "JWT", message)
		},
	})
}

// organizationalUnit and organizationIdentifier are attributes of certificates that name an organisation (X.520; ETSI EN 319
// 412-1), commonName is one that names its software.
const (
	commonName             = "2.5.4.3"
	organizationalUnit     = "2.5.4.11"
	organizationIdentifier = "2.5.4.97"
)

// organisationsOf are the identifiers of the client's organisation: in the certificate of the connection, if a trusted authority
// issued it. What is in front of a hyphen in organizationIdentifier names the register.
func (c *call) organisationsOf() []string {
	switch {
	case !c.shape.Signs():
		return nil
	case c.shape.Signed.Issuer == "software":
		return c.softwareOf()
	case c.shape.Signed.Issuer != "organisation":
		return nil
	}
	if presented := c.trustedCertificate(); presented != nil {
		return organisationsIn(presented)
	}
	return nil // its message is refused then
}

// trustedCertificate is that of the connection, if a trusted authority issued it; nil otherwise.
func (c *call) trustedCertificate() *mtls.Presented {
	if !c.at.MTLS {
		return nil
	}
	config := c.handler.config
	presented, err := config.Certificates.Certificate(c.Request)
	if err != nil || presented == nil || config.Trust.VerifyContext(c.Context(), presented) != nil {
		return nil
	}
	return presented
}

func organisationsIn(presented *mtls.Presented) []string {
	name, err := dn.OfSubject(presented.Leaf)
	if err != nil {
		return nil
	}
	var found []string
	if _, identifier, ok := strings.Cut(name.Value(organizationIdentifier), "-"); ok && identifier != "" {
		found = append(found, identifier)
	}
	if unit := name.Value(organizationalUnit); unit != "" && !slices.Contains(found, unit) {
		found = append(found, unit)
	}
	return found
}

// mediaType is that of the answer.
func (c *call) mediaType() string {
	if c.signs {
		return jwtMedia
	}
	return "application/json"
}

// acceptable reports whether the client accepts the answer (RFC 9110 §12.5.1).
func (c *call) acceptable() bool {
	accept := strings.Join(c.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return true
	}
	wanted := c.mediaType()
	best, allowed := -1, false
	for item := range strings.SplitSeq(accept, ",") {
		named, parameters, err := mime.ParseMediaType(strings.TrimSpace(item))
		if err != nil {
			continue
		}
		if at := slices.Index([]string{"*/*", "application/*", wanted}, named); at >= best && at >= 0 {
			best, allowed = at, strings.Trim(parameters["q"], "0.") != "" || parameters["q"] == ""
		}
	}
	return allowed
}

// tokenProblem is what is wrong with an access token, as a problem of the API.
func tokenProblem(err error) error {
	e := oauth.AsError(endpoint.Translate(err))
	kind := shape.BadToken
	switch {
	case e.Code == oauth.InsufficientScope:
		kind = shape.Forbidden
	case e.Code == oauth.ServerError || e.Code == oauth.TemporarilyUnavailable:
		return err
	}
	problem := shape.Problemf(kind, "Authorization", "%s", e.Description).Because(err)
	problem.Challenge = e.Challenge
	return problem
}
