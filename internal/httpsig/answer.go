package httpsig

import "slices"

// AnswerComponents are what a signature of an answer covers (FAPI 2.0 HTTP Signatures §5.3.2.1): its status, its digest and its
// type, and of the request what that covered, or method and target. request is the zero value where there is none.
func AnswerComponents(request Signature) []Component {
	covered := []Component{
		{Name: "@status"}, {Name: "content-digest"}, {Name: "content-type"},
		{Name: "@method", OfRequest: true}, {Name: "@target-uri", OfRequest: true},
	}
	for _, component := range request.Components {
		component.OfRequest = true
		if !slices.Contains(covered, component) {
			covered = append(covered, component)
		}
	}
	if request.Label != "" {
		covered = append(covered, Component{Name: "signature", OfRequest: true, Key: request.Label},
			Component{Name: "signature-input", OfRequest: true, Key: request.Label})
	}
	return covered
}

// AcceptSignature is the field Accept-Signature that asks for the signature of a request (RFC 9421 §5.1); proof says that it has
// to cover a DPoP proof.
func AcceptSignature(label string, proof bool) string {
	components := `"@method" "@target-uri" "authorization"`
	if proof {
		components += ` "dpop"`
	}
	return label + "=(" + components + `);created;keyid;tag="` + TagRequest + `"`
}

// JWSAlgorithm is the name in JWS (RFC 7518 §3.1) of an algorithm of RFC 9421 §3.3 that FAPI allows. Without alg it follows from
// the key, and the name is empty: PS256 for RSA (§3.3.7). Errors wrap [ErrRefused].
func JWSAlgorithm(alg string) (string, error) {
	switch alg {
	case "":
		return "", nil
	case "ecdsa-p256-sha256":
		return "ES256", nil
	case "ed25519":
		return "EdDSA", nil
	}
	return "", refuse("alg must be ecdsa-p256-sha256 or ed25519, or left out")
}
