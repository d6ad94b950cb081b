// Package tokens signs what the server issues: access tokens (RFC 9068), ID tokens, signed responses and every other signed
// message; and recognises its own tokens when they come back.
//
// Signing demands proof that checking came first: [Issuer.AccessToken] and [Issuer.IDToken] take a [Validated], which only
// [Issuer.Validate] makes.
package tokens

import (
	"cmp"
	"context"
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
	"countersign/fapi/scope"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
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
	Users    store.Users
	Keys     *client.KeySets
	Scopes   *scope.Catalog
	Details  *rar.Types
	Subjects *Subjects
	// Algorithm signs what has no algorithm of the client's own choice, where the client's profile allows it.
	Algorithm string
	// AccessTokenLifetime is cut to what the client's profile allows.
	AccessTokenLifetime, IDTokenLifetime time.Duration
	Now                                  func() time.Time
}

// Detail is the part of a grant that the store does not look into.
type Detail struct {
	Nonce     string          `json:"nonce,omitempty"`
	Claims    *claims.Request `json:"claims,omitempty"`
	Details   rar.Details     `json:"authorization_details,omitempty"`
	Resources []string        `json:"resources,omitempty"`
}

// ReadDetail reads the detail of a grant.
func ReadDetail(grant store.Grant) (Detail, error) {
	var detail Detail
	if len(grant.Detail) == 0 {
		return detail, nil
	}
	return detail, json.Unmarshal(grant.Detail, &detail)
}

// AlgorithmFor is what something for a client is signed with: the algorithm that it registered for it, or else the
// issuer's choice where the client's profile has it.
func (i *Issuer) AlgorithmFor(c *client.Client, registered string) string {
	switch {
	case registered != "":
		return registered
	case slices.Contains(c.Profile.Algorithms, i.Algorithm):
		return i.Algorithm
	}
	return c.Profile.Algorithms[0]
}

// Sign makes a compact JWS with the active key for a use. Key, kid and algorithm come from one pinned key.
func (i *Issuer) Sign(ctx context.Context, use signer.Use, alg, typ string, claims any) (string, error) {
	key, err := i.Signer.Active(ctx, use, signer.Algorithm(alg))
	if err != nil {
		return "", err
	}
	return jose.Sign(ctx, signingKey(key), typ, claims)
}

func signingKey(key signer.Key) jose.SigningKey {
	return jose.SigningKey{ID: key.ID, Algorithm: string(key.Algorithm), Sign: key.Sign}
}

// Message is a message to a client that is to be signed.
type Message struct {
	Use  signer.Use
	Kind audit.Kind
	// Algorithm is what [Issuer.AlgorithmFor] returned.
	Algorithm string
	// Encryption is how the client wants it encrypted; zero for not.
	Encryption client.Encryption
	// Personal names the claims that the evidence withholds.
	Personal []string
	// Sign makes the compact JWS.
	Sign func(context.Context, jose.SigningKey) (string, error)
}

// SignMessage signs a message to a client, encrypts it where the client registered that, and makes the evidence of it, which
// has to be stored before the message is released.
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
	kept, err := i.Evidence.Message(ctx, m.Kind, c.ID, signed, public, m.Personal...)
	if err != nil {
		return "", store.Evidence{}, err
	}
	sent, err := i.encrypt(ctx, c, m.Encryption, signed)
	return sent, kept, err
}

// encrypt encrypts a signed token to a client that wants it so; the others get it as it is (RFC 7519 §11.2: signed, then
// encrypted).
func (i *Issuer) encrypt(ctx context.Context, c *client.Client, wanted client.Encryption, signed string) (string, error) {
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

// responseLifetime is how long a signed authorization response may be used (JARM §2.1 advises at most 10 minutes).
const responseLifetime = 5 * time.Minute

// AuthorizationResponse signs the parameters of an authorization response (JARM §2.1), encrypted where the client registered
// that.
func (i *Issuer) AuthorizationResponse(ctx context.Context, c *client.Client, parameters url.Values) (string, store.Evidence, error) {
	return i.SignMessage(ctx, c, Message{
		Use: signer.UseResponse, Kind: audit.AuthorizationResponse,
		Algorithm:  i.AlgorithmFor(c, c.Metadata.AuthorizationSignedResponseAlg),
		Encryption: c.Metadata.ResponseEncryption(),
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jar.Response{
				Issuer: i.ID, ClientID: c.ID, Expires: i.Now().Add(responseLifetime), Parameters: parameters,
			}.Sign(ctx, jar.SigningKey(key))
		},
	})
}

// ErrNotOurs is the error for a token that this server did not issue, or not as what it is presented as.
var ErrNotOurs = errors.New("fapi: not a token of this server")

var errWrongType = errors.New("the typ is that of another kind of token")

// VerifyAccessToken checks that an access token is one of this issuer. Its time and audience are the caller's to check. The
// error is [ErrNotOurs], or one of the signer.
func (i *Issuer) VerifyAccessToken(ctx context.Context, token string) (AccessClaims, error) {
	var read AccessClaims
	err := i.verify(ctx, token, "at+jwt", &read)
	if err == nil && read.Issuer != i.ID {
		err = ErrNotOurs
	}
	return read, err
}

// IsIDToken reports whether a token is an ID token that this server signed.
func (i *Issuer) IsIDToken(ctx context.Context, token string) bool {
	var read idTokenClaims
	return i.verify(ctx, token, "JWT", &read) == nil
}

// IDTokenHint returns the subject of an id_token_hint (OpenID Connect Core §3.1.2.1, CIBA Core §7.1), as the client knows it:
// that of an ID token which this server issued to this client and which may have expired. Errors are *[oauth.Error] with
// invalid_request, or those of the signer.
func (i *Issuer) IDTokenHint(ctx context.Context, c *client.Client, raw string) (string, error) {
	var hint idTokenClaims
	err := i.verify(ctx, raw, "JWT", &hint)
	if err == nil && (hint.Issuer != i.ID || hint.Audience != c.ID || hint.Subject == "") {
		err = ErrNotOurs
	}
	if errors.Is(err, ErrNotOurs) {
		return "", oauth.Errorf(oauth.InvalidRequest, "id_token_hint is not an ID token that this server issued to this client").Because(err)
	}
	return hint.Subject, err
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
	err = jose.ErrNoKey
	for _, key := range published {
		if key.ID == parsed.Header.KeyID && string(key.Algorithm) == parsed.Header.Algorithm {
			err = parsed.Verify(key.Public)
		}
	}
	if err == nil {
		err = parsed.Claims(claims)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return nil
}
