package httpsig

import (
	"context"
	"time"
)

// Rules say which signed requests are valid (FAPI 2.0 HTTP Signatures §5.3.1.2). Zero durations allow nothing.
type Rules struct {
	// MaxAge is how long ago created may be, and MaxAhead how far ahead.
	MaxAge, MaxAhead time.Duration
	Now              time.Time
	// Verify checks a signature over the base with the sender's keys. alg is what the signature says of it, or empty.
	Verify func(ctx context.Context, keyID, alg string, base, signature []byte) error
}

// covered is what a signature of a request must cover besides what depends on the request.
func covered() []string { return []string{"@method", "@target-uri", "authorization"} }

// Check finds the signature of a request and verifies it, and the digest of its body. It returns the signature and the base
// that it was made over. Errors wrap [ErrRefused], or are those of Verify.
func (r Rules) Check(ctx context.Context, m Message, body []byte) (Signature, []byte, error) {
	s, err := Find(m.Header, TagRequest)
	if err != nil {
		return s, nil, err
	}
	needed := covered()
	if len(m.Header.Values("Dpop")) > 0 {
		needed = append(needed, "dpop")
	}
	if len(body) > 0 {
		needed = append(needed, "content-digest")
	}
	for _, name := range needed {
		if !s.Covers(Component{Name: name}) {
			return s, nil, refuse("the signature does not cover %s (FAPI 2.0 HTTP Signatures §5.3.1)", name)
		}
	}
	switch {
	case s.Created.IsZero():
		return s, nil, refuse("the signature does not say when it was created")
	case r.Now.Sub(s.Created) > r.MaxAge:
		return s, nil, refuse("the signature was created more than %s ago", r.MaxAge)
	case s.Created.After(r.Now.Add(r.MaxAhead)):
		return s, nil, refuse("the signature was created more than %s ahead; check the clock", r.MaxAhead)
	case !s.Expires.IsZero() && !r.Now.Before(s.Expires):
		return s, nil, refuse("the signature has expired")
	}
	if len(body) > 0 || len(m.Header.Values("Content-Digest")) > 0 {
		if err := CheckDigest(m.Header, body); err != nil {
			return s, nil, err
		}
	}
	base, err := s.Base(m)
	if err != nil {
		return s, nil, err
	}
	return s, base, r.Verify(ctx, s.KeyID, s.Algorithm, base, s.Value)
}
