package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/audit"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/signer"
	"countersign/store"
)

const (
	// maxSignatureAge bounds the age of the signature of a request (FAPI 2.0 HTTP Signatures §5.3.1.2).
	maxSignatureAge = time.Minute
	// maxSignedBody bounds the body of a signed request, in bytes.
	maxSignedBody = 64 << 10
	// signatureLabel is the label of the server's signature.
	signatureLabel = "sig"
)

// serveSigned serves a client that registered HTTP message signatures (FAPI 2.0 HTTP Signatures §5.3): the request is
// verified and the response signed, errors included. Both are recorded as evidence before the response is sent.
func (h *Handler) serveSigned(
	w http.ResponseWriter, r *http.Request, resource answering, at endpoint.At, access Access,
) {
	message, err := h.message(r, at)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	answer := httpsig.Hold(w, 0)
	request, kept, err := h.checkMessage(w, r, access, message)
	if err != nil {
		w.Header().Set("Accept-Signature", httpsig.AcceptSignature(signatureLabel, access.token.Confirmation.JKT != ""))
		h.refuse(answer, r, err)
	} else {
		h.answer(answer, r, resource, access)
	}
	if err := h.signAndRecord(r.Context(), access, message, request, answer, kept); err != nil {
		answer.Drop()
		endpoint.Refuse(w, r, err)
		return
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body.Bytes()) // response already started; error ignored
}

// message describes a request as its sender sees it: with the public URL, whatever proxy is in front.
func (h *Handler) message(r *http.Request, at endpoint.At) (httpsig.Message, error) {
	target, err := url.Parse(h.config.Addresses.At(at, h.config.Addresses.Below(r, at)))
	if err != nil {
		return httpsig.Message{}, err
	}
	target.RawQuery, target.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	return httpsig.Message{Method: r.Method, Target: target, Header: r.Header}, nil
}

// checkMessage verifies the signature of a request with the client's keys, and returns it with its evidence.
func (h *Handler) checkMessage(
	w http.ResponseWriter, r *http.Request, access Access, m httpsig.Message,
) (httpsig.Signature, []store.Evidence, error) {
	ctx, span := h.config.Tracer.Start(r.Context(), "message signature")
	defer span.End()
	refused := func(err error) error {
		scheme := access.token.Confirmation.Scheme()
		return endpoint.Challenge(scheme, oauth.Errorf(oauth.InvalidRequest, "%v", err).
			WithStatus(http.StatusUnauthorized).Because(err))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSignedBody))
	if err != nil {
		return httpsig.Signature{}, nil, refused(fmt.Errorf("the body cannot be read, or has more than %d bytes",
			maxSignedBody))
	}
	var key jose.Key
	var algorithm string
	rules := httpsig.Rules{MaxAge: maxSignatureAge, MaxAhead: access.client.Profile.MaxAhead, Now: h.config.Now()}
	rules.Verify = func(ctx context.Context, keyID, alg string, base, signature []byte) error {
		wanted, err := httpsig.JWSAlgorithm(alg)
		if err != nil {
			return err
		}
		return h.config.Keys.Try(ctx, access.client, func(keys jose.KeySet) (unknown bool, verdict error) {
			if key, algorithm, verdict = keys.VerifyMessage(keyID, wanted, base, signature); verdict == nil {
				verdict = h.config.Keys.Revoked(ctx, access.client, key)
			}
			return errors.Is(verdict, jose.ErrNoKey), verdict
		})
	}
	found, base, err := rules.Check(ctx, m, body)
	if err != nil {
		return httpsig.Signature{}, nil, refused(err)
	}
	if !slices.Contains(access.client.Profile.Algorithms, algorithm) {
		return httpsig.Signature{}, nil, refused(fmt.Errorf("%w: a key for %s does not belong to the client's profile",
			httpsig.ErrRefused, algorithm))
	}
	kept, err := h.config.Evidence.SignedBy(ctx, audit.Event{
		Kind: audit.HTTPRequest, ClientID: access.ClientID, Subject: access.Subject, Message: audit.NewHTTPMessage(base, algorithm, found.Value),
	}, key)
	if err != nil {
		return httpsig.Signature{}, nil, err
	}
	return found, []store.Evidence{kept}, nil
}

// signAndRecord signs a response and records the evidence of the request and of the response.
func (h *Handler) signAndRecord(
	ctx context.Context, access Access, m httpsig.Message, request httpsig.Signature, answer *httpsig.Held,
	kept []store.Evidence,
) error {
	evidence, err := h.signAnswer(ctx, access, m, request, answer)
	if err != nil {
		return err
	}
	return h.config.Evidence.Record(ctx, append(kept, evidence)...)
}

// signAnswer signs a response (FAPI 2.0 HTTP Signatures §5.3.2.1): its status, its digest, and the signed components
// of the request.
func (h *Handler) signAnswer(
	ctx context.Context, access Access, m httpsig.Message, request httpsig.Signature, answer *httpsig.Held,
) (store.Evidence, error) {
	key, err := h.config.Signer.Active(ctx, signer.UseHTTPMessage,
		signer.Algorithm(h.config.Tokens.AlgorithmFor(access.client, "")))
	if err != nil {
		return store.Evidence{}, err
	}
	answer.Header().Set("Content-Digest", httpsig.Digest(answer.Body.Bytes()))
	var value []byte
	message := httpsig.Message{Status: answer.Status, Header: answer.Header(), Request: &m}
	base, err := httpsig.Sign(ctx, message, httpsig.Signature{
		Label: signatureLabel, Components: httpsig.AnswerComponents(request), Created: h.config.Now(), KeyID: key.ID, Tag: httpsig.TagResponse,
	}, func(ctx context.Context, base []byte) (_ []byte, err error) {
		value, err = key.Sign(ctx, base)
		return value, err
	})
	if err != nil {
		return store.Evidence{}, err
	}
	public, err := jose.NewKey(key.ID, string(key.Algorithm), key.Public)
	if err != nil {
		return store.Evidence{}, err
	}
	return h.config.Evidence.SignedBy(ctx, audit.Event{
		Kind: audit.HTTPResponse, ClientID: access.client.ID, Subject: access.Subject,
		Message: audit.NewHTTPMessage(base, string(key.Algorithm), value),
	}, public)
}
