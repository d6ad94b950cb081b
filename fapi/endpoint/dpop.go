package endpoint

import (
	"errors"
	"net/http"

	"countersign/dpop"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/finding"
	"countersign/internal/oauth"
	"countersign/store"
)

// Proofs verifies DPoP proofs (RFC 9449), for all endpoints.
type Proofs struct {
	// Policy holds the algorithms and the tolerances.
	Policy dpop.Policy
	// Nonces makes the nonces that each proof must have (RFC 9449 §8, §9); nil demands none.
	Nonces *dpop.Nonces
}

// ErrNoProof: the request has no DPoP header.
var ErrNoProof = errors.New("fapi: the DPoP header is missing")

// OfferNonce sets the header DPoP-Nonce (RFC 9449 §8.2), if nonces are demanded.
func (p *Proofs) OfferNonce(w http.ResponseWriter) {
	if p.Nonces != nil {
		w.Header().Set("DPoP-Nonce", p.Nonces.Current())
	}
}

// Verify verifies the one proof of a request to one of the addresses (htu). accessToken is that of ath, or "". The
// caller consumes the proof's one-time value ([OneTimeOf]). The error is [ErrNoProof], or an *[oauth.Error] with
// invalid_dpop_proof or use_dpop_nonce.
func (p *Proofs) Verify(r *http.Request, addresses []string, accessToken string) (dpop.Proof, error) {
	raw, present, err := find(r)
	if err != nil {
		return dpop.Proof{}, err
	}
	if !present {
		return dpop.Proof{}, ErrNoProof
	}
	return p.verify(raw, dpop.Request{Method: r.Method, URLs: addresses, AccessToken: accessToken})
}

// find returns the one proof of a request.
func find(r *http.Request) (raw string, present bool, err error) {
	raw, present, err = dpop.FromHeader(r.Header)
	if err != nil {
		return "", false, proofError(err)
	}
	return raw, present, nil
}

func (p *Proofs) verify(raw string, request dpop.Request) (dpop.Proof, error) {
	var proof dpop.Proof
	if err := finding.First(p.Findings(raw, request, &proof)); err != nil {
		return proof, err
	}
	return proof, nil
}

// Findings are the rules that a proof is held to, one by one and in their order; of the one use see [OneTimeOf]. What they put into
// verified may be believed when none has refused the proof. Errors are *[oauth.Error] with invalid_dpop_proof or use_dpop_nonce.
func (p *Proofs) Findings(raw string, request dpop.Request, verified *dpop.Proof) finding.Findings {
	return func(yield func(string, error) bool) {
		refused := false
		for rule, err := range p.Policy.Findings(raw, request, verified) {
			if err != nil {
				refused, err = true, proofError(err)
			}
			if !yield(rule, err) {
				return
			}
		}
		if !refused {
			yield(finding.ServerNonce, p.checkNonce(*verified))
		}
	}
}

// CheckBinding refuses a proof of a client whose tokens are not bound by DPoP.
func CheckBinding(caller *client.Client) error {
	if caller.Constraint() != profile.ByDPoP {
		return oauth.Errorf(oauth.InvalidRequest, "this client's tokens are not bound by DPoP; send no DPoP header")
	}
	return nil
}

// checkNonce demands a nonce of this server, of any node (RFC 9449 §8, §9).
func (p *Proofs) checkNonce(proof dpop.Proof) error {
	switch {
	case p.Nonces == nil || p.Nonces.Valid(proof.Nonce):
		return nil
	case proof.Nonce == "":
		return oauth.Errorf(oauth.UseDPoPNonce,
			"the DPoP proof needs a nonce: use the one in the DPoP-Nonce header of this answer")
	}
	return oauth.Errorf(oauth.UseDPoPNonce,
		"the nonce of the DPoP proof is too old or not of this server: use the one in the DPoP-Nonce header of this answer")
}

// proofError returns the error for a refused proof. The text of package dpop is safe to send.
func proofError(err error) error {
	return oauth.Errorf(oauth.InvalidDPoPProof, "%s", err.Error()).Because(err)
}

// OneTimeOf returns the one-time value of a proof.
func OneTimeOf(proof dpop.Proof) store.OneTime {
	return store.OneTime{Kind: store.KindDPoP, Key: proof.ReplayKey, Until: proof.Until}
}
