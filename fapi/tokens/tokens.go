// Package tokens signs what the server issues: access tokens (RFC 9068), ID tokens, signed responses and other
// messages; and verifies the server's own tokens.
//
// Only validated requests get tokens: [Issuer.AccessToken] and [Issuer.IDToken] take a [Validated], which only
// [Issuer.Validate] makes.
package tokens

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/jar"
	"countersign/signer"
	"countersign/store"
)

// Issuer issues tokens and signed messages in the name of one issuer.
type Issuer struct {
	// ID is the issuer identifier (RFC 8414 §2).
	ID       string
	Signer   *signer.Signer
	Evidence *event.Recorder
	// Users says what is known about users, and whether they are active.
	Users    *claims.Users
	Keys     *client.KeySets
	Scopes   *scope.Catalog
	Details  *rar.Types
	Subjects *Subjects
	// Consents says of the consent by which a grant was made whether it has ended: the error then wraps [store.ErrRevoked]. Others are
	// *[oauth.Error], or internal.
	Consents interface {
		Live(ctx context.Context, clientID, id, grantID string) error
	}
	// Destroyed lists the keys that signed for us once and are gone.
	Destroyed interface {
		DestroyedKeys(ctx context.Context) ([]store.Key, error)
	}
	// Algorithm is the default signature algorithm, used where the client registered none and its profile allows it.
	Algorithm string
	// AccessTokenLifetime is limited to the maximum of the client's profile.
	AccessTokenLifetime, IDTokenLifetime time.Duration
	// Identifiers makes those of what is stored: request URIs, codes, access tokens and grants.
	Identifiers random.Source
	Now         func() time.Time
}

// Detail is the part of a grant that is opaque to the store.
type Detail struct {
	Nonce     string          `json:"nonce,omitempty"`
	Claims    *claims.Request `json:"claims,omitempty"`
	Details   rar.Details     `json:"authorization_details,omitempty"`
	Resources []string        `json:"resources,omitempty"`
	// Accounts are words for entries of Details that were offered to the user, for the user to read; they grant nothing.
	Accounts []display.Offered `json:"accounts,omitempty"`
	// Consent is nil where the grant was made without one that its client lodged.
	Consent *Consent `json:"consent,omitempty"`
	// Begun is when the grant that this one has taken the place of, and those before it, was first made; nil for one that has not.
	Begun *time.Time `json:"begun,omitempty"`
	// Transaction is the identifier of the transaction that made the grant (the claim txn of an ecosystem), or empty.
	Transaction string `json:"txn,omitempty"`
	// Backchannel reports that the user decided in backchannel authentication.
	Backchannel bool `json:"backchannel,omitempty"`
	// Session is nil where the user decided in none that has a SID, such as on a device.
	Session *Session `json:"session,omitempty"`
	// Digest is that of what was allowed ([Detail.DigestFor]); tokens are issued while the grant has it. Empty in grants of releases
	// without it.
	Digest string `json:"digest,omitempty"`
}

// Consent names the consent by which a grant was made.
type Consent struct {
	ID   string `json:"id"`
	Kind string `json:"kind,omitempty"`
}

// Named returns the id; empty without a consent.
func (c *Consent) Named() string {
	if c == nil {
		return ""
	}
	return c.ID
}

// DigestFor returns the digest of what a grant with these scopes allows: the SHA-256 of its canonical JSON, in base64url. The nonce is
// no part of it.
func (d Detail) DigestFor(scopes []string) string {
	raw, err := json.Marshal(struct {
		Scopes    []string        `json:"scopes"`
		Claims    *claims.Request `json:"claims"`
		Details   rar.Details     `json:"authorization_details"`
		Resources []string        `json:"resources"`
		Consent   *Consent        `json:"consent,omitempty"`
	}{append([]string{}, scopes...), d.Claims, append(rar.Details{}, d.Details...), append([]string{}, d.Resources...), d.Consent})
	if err != nil { // of no value that was read from JSON
		return "unknown"
	}
	digest := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// Sealed returns the detail with its digest.
func (d Detail) Sealed(scopes []string) Detail {
	d.Digest = d.DigestFor(scopes)
	return d
}

// checkDigest refuses a grant that is not what was allowed.
func (d Detail) checkDigest(grant store.Grant) error {
	if d.Digest != "" && d.Digest != d.DigestFor(grant.Scopes) {
		return fmt.Errorf("tokens: the grant %s is not what was allowed: its digest differs", grant.ID)
	}
	return nil
}

// ReadDetail reads the detail of a grant.
func ReadDetail(grant store.Grant) (Detail, error) {
	var detail Detail
	if len(grant.Detail) == 0 {
		return detail, nil
	}
	return detail, json.Unmarshal(grant.Detail, &detail)
}

// AlgorithmFor returns the signature algorithm for a client: the registered one, or else the issuer's default if the
// client's profile has it, or else the first of the profile.
func (i *Issuer) AlgorithmFor(c *client.Client, registered string) string {
	if registered != "" {
		return registered
	}
	return i.oneOf(c.Profile.Algorithms)
}

// IDTokenAlgorithm returns the signature algorithm of a client's ID tokens: the registered one, or else one that its profile has for
// them.
func (i *Issuer) IDTokenAlgorithm(c *client.Client) string {
	registered, own := c.Metadata.IDTokenSignedResponseAlg, c.Profile.IDTokenAlgorithms
	if registered == "" && len(own) > 0 {
		return i.oneOf(own)
	}
	return i.AlgorithmFor(c, registered)
}

// oneOf returns the issuer's default if it is among algorithms, or else the first.
func (i *Issuer) oneOf(algorithms []string) string {
	if slices.Contains(algorithms, i.Algorithm) {
		return i.Algorithm
	}
	return algorithms[0]
}

// Sign makes a compact JWS with the active key for a use. Key, kid and algorithm come from one pinned key.
func (i *Issuer) sign(ctx context.Context, use signer.Use, alg, typ string, claims any) (string, error) {
	key, err := i.Signer.Active(ctx, use, signer.Algorithm(alg))
	if err != nil {
		return "", err
	}
	return jose.Sign(ctx, signingKey(key), typ, claims)
}

func signingKey(key signer.Key) jose.SigningKey {
	return jose.SigningKey{ID: key.ID, Algorithm: string(key.Algorithm), Sign: key.Sign}
}

// Message is a message to a client, to be signed.
type Message struct {
	Use  signer.Use
	Kind audit.Kind
	// Algorithm is what [Issuer.AlgorithmFor] returned.
	Algorithm string
	// Encryption is the registered encryption; zero for none.
	Encryption client.Encryption
	// Personal names the claims that the evidence withholds, and Subject is the user whom the message is about, or empty.
	Personal []string
	Subject  string
	// Consent is the consent that the message is about, or empty.
	Consent string
	// Sign makes the compact JWS.
	Sign func(context.Context, jose.SigningKey) (string, error)
}

// SignMessage signs a message to a client, encrypts it if the client registered that, and makes its evidence, which
// has to be recorded before the message is sent.
func (i *Issuer) SignMessage(ctx context.Context, c *client.Client, m Message) (string, store.Evidence, error) {
	key, err := i.Signer.Active(ctx, m.Use, signer.Algorithm(m.Algorithm))
	if err != nil {
		return "", store.Evidence{}, err
	}
	signed, err := m.Sign(ctx, signingKey(key))
	if err != nil {
		return "", store.Evidence{}, err
	}
	public, err := jose.NewKey(key.ID, m.Algorithm, key.Public)
	if err != nil {
		return "", store.Evidence{}, err
	}
	message, err := audit.NewMessage(signed, m.Personal...)
	if err != nil {
		return "", store.Evidence{}, err
	}
	kept, err := i.Evidence.SignedBy(ctx, audit.Event{
		Kind: m.Kind, ClientID: c.ID, Message: message, Subject: m.Subject, Consent: m.Consent,
	}, public)
	if err != nil {
		return "", store.Evidence{}, err
	}
	sent, err := i.encrypt(ctx, c, m.Encryption, signed)
	return sent, kept, err
}

// encrypt encrypts a signed token if the client registered that (RFC 7519 §11.2: signed, then encrypted).
func (i *Issuer) encrypt(
	ctx context.Context, c *client.Client, wanted client.Encryption, signed string,
) (string, error) {
	if wanted.Alg == "" {
		return signed, nil
	}
	keys, err := i.Keys.Of(ctx, c)
	if err != nil {
		return "", oauth.Errorf(oauth.InvalidRequest, "the answer cannot be encrypted to the client: %v", err).Because(err)
	}
	if !keys.Receive(wanted.Alg) {
		return "", oauth.Errorf(oauth.InvalidRequest, "the answer cannot be encrypted to the client: its key set has no key for %s%s", wanted.Alg, jose.Hint(c.LeftOut(keys)))
	}
	wanted = wanted.Effective()
	return keys.Encrypt([]byte(signed), wanted.Alg, wanted.Enc, "JWT")
}

// responseLifetime is the lifetime of a signed authorization response (JARM §2.1 advises at most 10 minutes).
const responseLifetime = 5 * time.Minute

// AuthorizationResponse signs the parameters of an authorization response (JARM §2.1), and encrypts them if the client
// registered that. subject is the user who is signed in, or empty.
func (i *Issuer) AuthorizationResponse(
	ctx context.Context, c *client.Client, subject string, parameters url.Values,
) (string, store.Evidence, error) {
	return i.SignMessage(ctx, c, Message{
		Use: signer.UseResponse, Kind: audit.AuthorizationResponse,
		Algorithm:  i.AlgorithmFor(c, c.Metadata.AuthorizationSignedResponseAlg),
		Encryption: c.Metadata.ResponseEncryption(), Subject: subject,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jar.Response{
				Issuer: i.ID, ClientID: c.ID, Expires: i.Now().Add(responseLifetime), Parameters: parameters,
			}.Sign(ctx, jar.SigningKey(key))
		},
	})
}

// ErrNotOurs is the error for a token that this server did not issue, or of another type than expected.
var ErrNotOurs = errors.New("fapi: not a token of this server")

var errWrongType = errors.New("the typ is that of another kind of token")

// VerifyAccessToken checks that an access token is one of this issuer. The caller checks its time and audience. The
// error is [ErrNotOurs], or one of the signer.
func (i *Issuer) VerifyAccessToken(ctx context.Context, token string) (AccessClaims, error) {
	var read AccessClaims
	if err := i.verify(ctx, token, "at+jwt", &read); err != nil {
		return AccessClaims{}, err
	}
	if read.Issuer != i.ID {
		return AccessClaims{}, ErrNotOurs
	}
	return read, nil
}

// IsIDToken reports whether a token is an ID token that this server signed.
func (i *Issuer) IsIDToken(ctx context.Context, token string) bool {
	var read idTokenClaims
	return i.verify(ctx, token, "JWT", &read) == nil
}

// IDTokenHint returns the sub of an id_token_hint (OpenID Connect Core §3.1.2.1, CIBA Core §7.1): an ID token that
// this server issued to this client, which may have expired. Errors are *[oauth.Error] with invalid_request, or those
// of the signer.
func (i *Issuer) IDTokenHint(ctx context.Context, c *client.Client, raw string) (string, error) {
	var hint idTokenClaims
	err := i.verify(ctx, raw, "JWT", &hint)
	if err != nil && !errors.Is(err, ErrNotOurs) {
		return "", err
	}
	if err != nil || hint.Issuer != i.ID || hint.Audience != c.ID || hint.Subject == "" {
		return "", oauth.Errorf(oauth.InvalidRequest,
			"id_token_hint is not an ID token that this server issued to this client").
			Because(cmp.Or(err, ErrNotOurs))
	}
	return hint.Subject, nil
}

// verify checks type and signature of a token that this server signed and reads its claims.
func (i *Issuer) verify(ctx context.Context, token, typ string, claims any) error {
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: profile.Algorithms()})
	if err != nil || !parsed.Header.HasType(typ) {
		return fmt.Errorf("%w: %w", ErrNotOurs, cmp.Or(err, errWrongType))
	}
	published, err := i.Signer.Published(ctx)
	if err != nil {
		return err
	}
	if err := verifySignature(parsed, published); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	if err := parsed.Claims(claims); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return nil
}

// verifySignature verifies a token with the published key of its kid and algorithm.
func verifySignature(token *jose.Token, published []signer.Record) error {
	for _, key := range published {
		if key.ID == token.Header.KeyID && string(key.Algorithm) == token.Header.Algorithm {
			return token.Verify(key.Public)
		}
	}
	return jose.ErrNoKey
}
