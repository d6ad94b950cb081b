package rs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"countersign/internal/jose"
	"countersign/internal/random"
	"countersign/internal/strictjson"
)

// Introspection asks the issuer about each token (RFC 7662), so that a revoked one ends at once.
type Introspection struct {
	// ClientID is the API's own at the issuer, as a resource server.
	ClientID string
	// Key authenticates by private_key_jwt (RFC 7523). Without it the API authenticates by the certificate that [Config].HTTP
	// presents (RFC 8705 §2), at the address for it where the issuer has one.
	Key Key
	// Signed demands signed answers (RFC 9701, FAPI 2.0 Message Signing §5.5).
	Signed bool
	// Cache is for how long an answer is used again, at most until the token expires; 0 asks each time. A token that is
	// revoked is good for as long.
	Cache time.Duration
	// URL is the introspection endpoint; empty is what the issuer's metadata say.
	URL string
}

// MaxIntrospectionCache bounds [Introspection].Cache.
const MaxIntrospectionCache = 5 * time.Minute

const (
	// maxCached is how many answers are kept, and maxKept the size of the largest, in bytes.
	maxCached = 10_000
	maxKept   = 16 << 10
	// maxIntrospection bounds an answer, in bytes.
	maxIntrospection = 256 << 10
	// assertionLife is how long a client assertion is valid.
	assertionLife = time.Minute
	// introspectionMedia and introspectionType are those of a signed answer (RFC 9701 §4, §5).
	introspectionMedia = "application/token-introspection+jwt"
	introspectionType  = "token-introspection+jwt"
	// maxAnswerAge is how old a signed answer may be.
	maxAnswerAge = time.Minute
)

func (i *Introspection) check() error {
	switch {
	case i.ClientID == "":
		return &ConfigError{Field: "Introspection.ClientID", Problem: "is empty"}
	case i.Cache < 0 || i.Cache > MaxIntrospectionCache:
		return &ConfigError{Field: "Introspection.Cache", Problem: fmt.Sprintf("must be from 0 to %s", MaxIntrospectionCache)}
	case i.URL != "" && !isHTTPS(i.URL):
		return &ConfigError{Field: "Introspection.URL", Problem: "must be an https URL"}
	}
	return nil
}

// introspector asks about tokens, and remembers answers for a short time.
type introspector struct {
	guard   *Guard
	config  Introspection
	address string

	mu     sync.Mutex
	cached map[[sha256.Size]byte]answered
}

// answered is an answer that is used again.
type answered struct {
	claims wireClaims
	raw    json.RawMessage
	until  time.Time
}

func newIntrospector(g *Guard, issuer issuerMetadata) (*introspector, error) {
	i := &introspector{guard: g, config: *g.config.Introspection, cached: map[[sha256.Size]byte]answered{}}
	i.address = i.config.URL
	if i.address == "" {
		i.address = issuer.Introspection
		if i.config.Key.isZero() && issuer.Aliases.Introspection != "" { // RFC 8705 §5
			i.address = issuer.Aliases.Introspection
		}
	}
	if !isHTTPS(i.address) {
		return nil, &IssuerError{Issuer: g.config.Issuer, cause: errors.New("its metadata name no introspection endpoint with https")}
	}
	return i, nil
}

// ask returns an active token for an audience.
func (i *introspector) ask(ctx context.Context, raw string, audience []string) (*Token, error) {
	for _, c := range []byte(raw) {
		if c <= ' ' || c > '~' {
			return nil, invalidToken(BadForm, "the access token has characters that no token has", nil)
		}
	}
	key := sha256.Sum256([]byte(raw))
	answer, ok := i.remembered(key)
	if !ok {
		var err error
		if answer, err = i.fetch(ctx, raw); err != nil {
			return nil, unavailable("the issuer cannot be asked about the access token at the moment; try again shortly", err)
		}
		i.remember(key, answer)
	}
	if !answer.claims.Active {
		return nil, invalidToken(Inactive, "the access token has expired, was revoked, or is not for this resource", nil)
	}
	if err := i.guard.checkClaims(&answer.claims, audience, false); err != nil {
		return nil, err
	}
	return answer.claims.token(func(into any) error { return strictjson.DecodeObject(answer.raw, into) }), nil
}

func (i *introspector) remembered(key [sha256.Size]byte) (answered, bool) {
	if i.config.Cache == 0 {
		return answered{}, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	answer, ok := i.cached[key]
	return answer, ok && i.guard.config.Now().Before(answer.until)
}

func (i *introspector) remember(key [sha256.Size]byte, answer answered) {
	if i.config.Cache == 0 || len(answer.raw) > maxKept {
		return
	}
	now := i.guard.config.Now()
	answer.until = now.Add(i.config.Cache)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.cached) >= maxCached {
		for other, old := range i.cached { // what is over, or else any: Go's order is a random one
			if !now.Before(old.until) || len(i.cached) >= maxCached {
				delete(i.cached, other)
			}
		}
	}
	i.cached[key] = answer
}

// fetch asks the issuer.
func (i *introspector) fetch(ctx context.Context, raw string) (answered, error) {
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	if err := i.authenticate(ctx, form); err != nil {
		return answered{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.address, strings.NewReader(form.Encode()))
	if err != nil {
		return answered{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if i.config.Signed {
		request.Header.Set("Accept", introspectionMedia)
	}
	response, err := i.guard.config.HTTP.Do(request)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	body, err := readBounded(response.Body, maxIntrospection)
	if err != nil {
		return answered{}, err
	}
	if response.StatusCode != http.StatusOK {
		return answered{}, fmt.Errorf("the introspection endpoint answered with status %d", response.StatusCode)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case i.config.Signed && media != introspectionMedia:
		return answered{}, fmt.Errorf("the answer is %q, and has to be a signed one (RFC 9701)", media)
	case !i.config.Signed && media != "application/json":
		return answered{}, fmt.Errorf("the answer is %q, and has to be application/json", media)
	}
	if i.config.Signed {
		if body, err = i.open(ctx, string(body)); err != nil {
			return answered{}, err
		}
	}
	answer := answered{raw: body}
	if err := strictjson.DecodeObject(body, &answer.claims); err != nil {
		return answered{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return answer, nil
}

// authenticate adds the client's authentication to a form (RFC 7523 §2.2, FAPI 2.0 Security Profile §5.3.3.1-4: aud is the issuer).
func (i *introspector) authenticate(ctx context.Context, form url.Values) error {
	if i.config.Key.isZero() {
		form.Set("client_id", i.config.ClientID)
		return nil
	}
	now := i.guard.config.Now()
	assertion, err := jose.Sign(ctx, i.config.Key.signing, "JWT", map[string]any{
		"iss": i.config.ClientID, "sub": i.config.ClientID, "aud": i.guard.config.Issuer, "jti": random.Secret(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return err
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

// open verifies a signed answer (RFC 9701 §5) and returns what it says of the token.
func (i *introspector) open(ctx context.Context, signed string) (json.RawMessage, error) {
	parsed, err := jose.Parse(signed, jose.ParseOptions{Algorithms: i.guard.algorithms, PKCS1: i.guard.config.Weak.RS256})
	if err != nil {
		return nil, err
	}
	var claims struct {
		Issuer   string            `json:"iss"`
		Audience jose.Audience     `json:"aud"`
		IssuedAt *jose.NumericDate `json:"iat"`
		Answer   json.RawMessage   `json:"token_introspection"`
	}
	if err := parsed.Claims(&claims); err != nil {
		return nil, err
	}
	now := i.guard.config.Now()
	switch {
	case !parsed.Header.HasType(introspectionType):
		return nil, errors.New("the signed answer is not of the type " + introspectionType)
	case claims.Issuer != i.guard.config.Issuer:
		return nil, errors.New("the signed answer is of another issuer")
	case !claims.Audience.Contains(i.config.ClientID):
		return nil, errors.New("the signed answer is for another resource server")
	case claims.IssuedAt == nil || now.Sub(claims.IssuedAt.Time()) > maxAnswerAge || claims.IssuedAt.Time().Sub(now) > maxAhead:
		return nil, errors.New("the signed answer is not of now")
	case len(claims.Answer) == 0:
		return nil, errors.New("the signed answer has no token_introspection")
	}
	return claims.Answer, i.guard.keys.Verify(ctx, parsed)
}
