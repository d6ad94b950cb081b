package fapi

import (
	"context"
	"encoding/json"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// Whatever a client or this server signs as a message to the other is kept (FAPI 2.0 Message Signing §7): no profile and no
// setting leaves it out. Where a store verb decides the outcome, the evidence goes with it in one transaction; where none
// does, it is recorded before the message is released. Client assertions and DPoP proofs are not kept: they say who sends
// something, and nothing of what is sent.

// evidenceOf makes evidence of a signed message and the key that made its signature. Claims named as personal are withheld.
func (s *Server) evidenceOf(ctx context.Context, kind audit.Kind, clientID, jws string, key jose.Key, personal ...string) (store.Evidence, error) {
	message, err := audit.NewMessage(jws, personal...)
	if err != nil {
		return store.Evidence{}, err
	}
	jwk, err := json.Marshal(key)
	if err != nil {
		return store.Evidence{}, err
	}
	return s.evidence(ctx, audit.Event{Kind: kind, ClientID: clientID, Key: key.Thumbprint(), JWK: jwk, Message: message})
}

// evidence makes what the store keeps of an event in this request.
func (s *Server) evidence(ctx context.Context, event audit.Event) (store.Evidence, error) {
	event.CorrelationID = eventOf(ctx).correlationID
	body, err := json.Marshal(event)
	return store.Evidence{Chain: s.config.AuditChain, At: s.now(), Body: body}, err
}

// record stores evidence on its own.
func (s *Server) record(ctx context.Context, evidence ...store.Evidence) error {
	if len(evidence) == 0 {
		return nil
	}
	return s.store.Record(ctx, evidence...)
}

// note records what a client did to what is registered or granted; detail are names and values beside. It is done already, so
// that a failure is logged and changes no answer.
func (s *Server) note(ctx context.Context, clientID, what string, detail ...string) {
	said := map[string]string{"event": what}
	for i := 0; i < len(detail); i += 2 {
		said[detail[i]] = detail[i+1]
	}
	e, err := s.evidence(ctx, audit.Event{Kind: audit.SecurityEvent, ClientID: clientID, Detail: said})
	if err == nil {
		err = s.store.Record(ctx, e)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "an event is missing in the audit log", "event", what, "client_id", clientID, "error", err.Error())
	}
}

// signedMessage signs a message to a client and makes the evidence of it.
func (s *Server) signedMessage(ctx context.Context, use signer.Use, kind audit.Kind, client *Client, alg string, sign func(jose.SigningKey) (string, error), personal ...string) (string, store.Evidence, error) {
	key, err := s.signer.Active(ctx, use, signer.Algorithm(alg))
	if err != nil {
		return "", store.Evidence{}, err
	}
	signed, err := sign(jose.SigningKey{ID: key.ID, Algorithm: string(key.Algorithm), Sign: key.Sign})
	if err != nil {
		return "", store.Evidence{}, err
	}
	public, err := jose.NewKey(key.ID, alg, key.Public)
	if err != nil {
		return "", store.Evidence{}, err
	}
	kept, err := s.evidenceOf(ctx, kind, client.ID, signed, public, personal...)
	return signed, kept, err
}
