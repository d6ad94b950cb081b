package fapi

import (
	"net/http"

	"countersign/dpop"
	"countersign/internal/oauth"
)

// offerNonce puts the nonce that the next proof has to carry into an answer (RFC 9449 §8.2), where nonces are demanded.
func (s *Server) offerNonce(w http.ResponseWriter) {
	if s.nonces != nil {
		w.Header().Set("DPoP-Nonce", s.nonces.Current())
	}
}

// checkNonce demands that a proof carries a nonce of this server, made by any of its nodes (RFC 9449 §8, §9).
func (s *Server) checkNonce(proof dpop.Proof) error {
	switch {
	case s.nonces == nil || s.nonces.Valid(proof.Nonce):
		return nil
	case proof.Nonce == "":
		return oauth.Errorf(oauth.UseDPoPNonce, "the DPoP proof needs a nonce: use the one in the DPoP-Nonce header of this answer")
	}
	return oauth.Errorf(oauth.UseDPoPNonce, "the nonce of the DPoP proof is too old or not of this server: use the one in the DPoP-Nonce header of this answer")
}
