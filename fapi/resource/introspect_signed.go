package resource

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
)

const (
	// introspectionMedia is the media type of a signed response (RFC 9701 §4).
	introspectionMedia = "application/token-introspection+jwt"
	// introspectionType is its typ (§5).
	introspectionType = "token-introspection+jwt"
)

// introspectionClaims are those of a signed response (RFC 9701 §5). Without sub and exp it cannot be confused with an
// access token (§8.1).
type introspectionClaims struct {
	Issuer   string        `json:"iss"`
	Audience string        `json:"aud"`
	IssuedAt int64         `json:"iat"`
	Answer   introspection `json:"token_introspection"`
}

// introspected answers in JSON, or with a JWT if the Accept header requests it (RFC 9701 §4, FAPI 2.0 Message Signing
// §5.5.1).
func (h *Handler) introspected(ctx context.Context, c *endpoint.Call, result introspection) (endpoint.Answer, error) {
	if !accepts(c.Accept, introspectionMedia) {
		return endpoint.Answer{Status: http.StatusOK, Body: result}, nil
	}
	registered := c.Client.Metadata
	sent, kept, err := h.config.Tokens.SignMessage(ctx, c.Client, tokens.Message{
		Use: signer.UseIntrospection, Kind: audit.Introspection,
		Algorithm:  h.config.Tokens.AlgorithmFor(c.Client, registered.IntrospectionSignedResponseAlg),
		Encryption: registered.IntrospectionEncryption(),
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, introspectionType, introspectionClaims{
				Issuer: h.config.Addresses.Issuer, Audience: c.Client.ID, IssuedAt: h.config.Now().Unix(), Answer: result,
			})
		},
	})
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := h.config.Evidence.Record(ctx, kept); err != nil {
		return endpoint.Answer{}, err
	}
	return endpoint.Answer{Status: http.StatusOK, Body: endpoint.JWT(sent), ContentType: introspectionMedia}, nil
}

// accepts reports whether an Accept header prefers a media type to JSON (RFC 9110 §12.5.1): it has to be named, since a JWT
// is not what a wildcard expects, with a weight that is not zero and not less than that of JSON.
func accepts(header, media string) bool {
	weight, ofJSON, closest := -1.0, -1.0, -1
	ranges := []string{"*/*", "application/*", "application/json"} // the closest one decides
	for item := range strings.SplitSeq(header, ",") {
		named, parameters, err := mime.ParseMediaType(item)
		q, correct := weightOf(parameters)
		if err != nil || !correct {
			continue
		}
		if named == media {
			weight = max(weight, q)
		}
		switch at := slices.Index(ranges, named); {
		case at > closest:
			closest, ofJSON = at, q
		case at >= 0 && at == closest:
			ofJSON = max(ofJSON, q)
		}
	}
	return weight > 0 && weight >= ofJSON
}

// weightOf reads the parameter q, which is 1 when there is none.
func weightOf(parameters map[string]string) (q float64, correct bool) {
	text, given := parameters["q"]
	if !given {
		return 1, true
	}
	if strings.Trim(text, "0123456789.") != "" { // no sign, exponent, NaN or Inf
		return 0, false
	}
	q, err := strconv.ParseFloat(text, 64)
	return q, err == nil && q <= 1
}
