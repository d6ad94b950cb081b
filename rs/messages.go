package rs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"countersign/internal/httpsig"
	"countersign/internal/jose"
	"countersign/internal/keyset"
	"countersign/internal/presented"
)

// Messages says with which keys requests and answers are signed (RFC 9421, FAPI 2.0 HTTP Signatures).
type Messages struct {
	// Keys finds the keys that the client of a token signs its requests with.
	Keys func(ctx context.Context, token *Token) (ClientKeys, error)
	// Key signs the answers. [Guard.Keys] serves its public half.
	Key Key
	// MaxBody bounds the body of a request, in bytes; 0 means 1 MiB. MaxAnswer bounds that of an answer, which is held until it is
	// signed; 0 means 8 MiB.
	MaxBody, MaxAnswer int64
}

// ClientKeys are the public keys of a client: at an address, or as they were registered.
type ClientKeys struct {
	// URL is a jwks_uri (RFC 7591 §2), an https URL that whoever vouches for the client vouches for.
	URL string
	// Set is a JWK Set (RFC 7517 §5), used where URL is empty.
	Set json.RawMessage
}

const (
	defaultMaxBody   = 1 << 20
	defaultMaxAnswer = 8 << 20
	// maxMessageAge bounds the age of the signature of a request (FAPI 2.0 HTTP Signatures §5.3.1.2).
	maxMessageAge = time.Minute
	// messageLabel is the label of our signatures.
	messageLabel = "sig"
)

// ErrAnswerTooLarge is what a handler gets that writes more than [Messages].MaxAnswer. The client gets 503.
var ErrAnswerTooLarge = httpsig.ErrTooLarge

func (m *Messages) check() error {
	switch {
	case m == nil:
		return nil
	case m.Keys == nil:
		return &ConfigError{Field: "Messages.Keys", Problem: "is nil: say where the keys of clients are"}
	case m.Key.isZero():
		return &ConfigError{Field: "Messages.Key", Problem: "is missing: answers are signed with it"}
	}
	return nil
}

// messages verifies and signs.
type messages struct {
	guard  *Guard
	config Messages
	remote *keyset.Sets
}

func newMessages(g *Guard) (*messages, error) {
	if g.config.Messages == nil {
		return nil, nil
	}
	m := &messages{guard: g, config: *g.config.Messages}
	m.config.MaxBody = cmp.Or(m.config.MaxBody, defaultMaxBody)
	m.config.MaxAnswer = cmp.Or(m.config.MaxAnswer, defaultMaxAnswer)
	m.remote = keyset.NewSets(g.config.HTTP, g.config.Now)
	return m, nil
}

// serve verifies the signature of a request and signs the answer to it, refusals too.
func (m *messages) serve(w http.ResponseWriter, r *http.Request, call Call, token *Token, next http.Handler) {
	target, err := url.Parse(call.URL)
	if err != nil {
		m.guard.refuse(w, r, badRequest(BadMessage, "the address of the request cannot be read", err))
		return
	}
	target.RawQuery, target.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	message := httpsig.Message{Method: r.Method, Target: target, Header: r.Header.Clone()}
	answer := httpsig.Hold(w, m.config.MaxAnswer)
	signature, body, err := m.verify(w, r, message, token)
	if err != nil {
		answer.Header().Set("Accept-Signature", httpsig.AcceptSignature(messageLabel, token.JKT != ""))
		m.guard.refuse(answer, r, m.refused(err, token))
	} else {
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(answer, r)
	}
	answer.WriteHeader(http.StatusOK)
	if answer.TooLarge {
		err = ErrAnswerTooLarge
	} else {
		err = m.sign(r.Context(), message, signature, answer)
	}
	if err != nil {
		answer.Drop()
		m.guard.refuse(w, r, unavailable("the answer cannot be signed at the moment; try again shortly", err))
		return
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body.Bytes()) // response already started; error ignored
}

// refused is the error for a message that is not signed as it must be, or whose keys cannot be had.
func (m *messages) refused(err error, token *Token) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	e := badRequest(BadMessage, err.Error(), err)
	e.Status = http.StatusUnauthorized
	e.scheme = presented.Bearer
	if token.JKT != "" {
		e.scheme = presented.DPoP
	}
	return e
}

// verify checks the signature and the digest of a request (FAPI 2.0 HTTP Signatures §5.3.1.2), and returns its body.
func (m *messages) verify(w http.ResponseWriter, r *http.Request, message httpsig.Message, token *Token) (httpsig.Signature, []byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.config.MaxBody))
	if err != nil {
		return httpsig.Signature{}, nil, fmt.Errorf("the body cannot be read, or has more than %d bytes", m.config.MaxBody)
	}
	keys, err := m.config.Keys(r.Context(), token)
	if err != nil {
		return httpsig.Signature{}, nil, unavailable("the keys of the client cannot be found at the moment; try again shortly", err)
	}
	rules := httpsig.Rules{MaxAge: maxMessageAge, MaxAhead: maxAhead, Now: m.guard.config.Now()}
	rules.Verify = func(ctx context.Context, keyID, alg string, base, signature []byte) error {
		wanted, err := httpsig.JWSAlgorithm(alg)
		if err != nil {
			return err
		}
		return m.verifyWith(ctx, keys, keyID, wanted, base, signature)
	}
	found, _, err := rules.Check(r.Context(), message, body)
	return found, body, err
}

// verifyWith checks a signature with the keys of a client.
func (m *messages) verifyWith(ctx context.Context, keys ClientKeys, keyID, wanted string, base, signature []byte) error {
	var algorithm string
	if keys.URL != "" {
		var err error
		_, algorithm, err = m.remote.VerifyMessage(ctx, keys.URL, keyID, wanted, base, signature)
		if _, away := errors.AsType[*keyset.Error](err); away {
			return unavailable("the keys of the client cannot be read at the moment; try again shortly", err)
		}
		if err != nil {
			return err
		}
	} else {
		set, err := jose.ParseKeySet(keys.Set)
		if err != nil {
			return unavailable("the keys of the client cannot be read at the moment; try again shortly", err)
		}
		if _, algorithm, err = set.VerifyMessage(keyID, wanted, base, signature); err != nil {
			return err
		}
	}
	if !slices.Contains(m.guard.proofs.Algorithms, algorithm) {
		return fmt.Errorf("%w: a key for %s is not accepted", jose.ErrAlgorithm, algorithm)
	}
	return nil
}

// sign signs an answer (FAPI 2.0 HTTP Signatures §5.3.2.1).
func (m *messages) sign(ctx context.Context, request httpsig.Message, signature httpsig.Signature, answer *httpsig.Held) error {
	header, body := answer.Header(), answer.Body.Bytes()
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", http.DetectContentType(body))
	}
	header.Set("Content-Digest", httpsig.Digest(body))
	_, err := httpsig.Sign(ctx, httpsig.Message{Status: answer.Status, Header: header, Request: &request}, httpsig.Signature{
		Label: messageLabel, Components: httpsig.AnswerComponents(signature), Created: m.guard.config.Now(),
		KeyID: m.config.Key.ID(), Tag: httpsig.TagResponse,
	}, m.config.Key.signing.Sign)
	return err
}

// Keys serves the public keys of the API as a JWK Set: the one that answers are signed with, for [Metadata].KeysURL, and the one
// that it authenticates with for an introspection, for its jwks_uri as a client.
func (g *Guard) Keys() http.Handler {
	var keys []jose.Key
	if g.messages != nil {
		keys = append(keys, g.messages.config.Key.public)
	}
	if own := g.config.Introspection; own != nil && !own.Key.isZero() {
		if len(keys) == 0 || keys[0].Thumbprint() != own.Key.public.Thumbprint() || keys[0].ID != own.Key.public.ID {
			keys = append(keys, own.Key.public)
		}
	}
	set := jose.NewKeySet(keys...)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_ = json.NewEncoder(w).Encode(set) // response already started; error ignored
	})
}
