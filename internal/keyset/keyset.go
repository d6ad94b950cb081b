// Package keyset fetches and keeps the public keys that an issuer publishes at its jwks_uri (RFC 7517 §5), for programs that
// verify what that issuer signs: relying parties and resource servers.
//
//	keys, err := keyset.New(keyset.Config{URL: metadata.JWKSURI})
//	err = keys.Verify(ctx, token) // right kid, kty, crv, alg, use and key_ops, and the right signature
//
// However many tokens come, the set is fetched by one at a time: when its lifetime ends (max-age of its answer, between one
// minute and a day; 5 minutes where it does not say), ahead of that in the background, and for a key that it does not have at
// most once in 30 seconds. While it cannot be fetched, the keys from before are used for a day more, and the address is tried
// at most once in 10 seconds. A set has at most [jose.MaxKeySetSize] bytes. Symmetric keys verify nothing, and a set with a
// private key is refused whole.
package keyset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/internal/jose"
)

// Config says where the keys are.
type Config struct {
	// URL is the address of the set: https, without user information and fragment.
	URL string
	// HTTP fetches it; nil is a client of its own that follows no redirects and waits 5 seconds.
	HTTP *http.Client
	// Algorithms are those that a key may be for; nil means PS256, ES256 and EdDSA. [jose.RS256] has to be named.
	Algorithms []string
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Set is the key set at one address. It may be used by many at once. Make one with [New].
type Set struct {
	url        string
	algorithms []string
	cache      *jose.RemoteKeySets
}

// Sets are the key sets at many addresses: of the clients of a resource server, say. Make one with [NewSets].
type Sets struct{ cache *jose.RemoteKeySets }

// NewSets makes an empty cache of key sets. A nil client or clock is as in [Config].
func NewSets(client *http.Client, now func() time.Time) *Sets {
	if client == nil {
		client = &http.Client{Timeout: ownTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if now == nil {
		now = time.Now
	}
	return &Sets{cache: jose.NewRemoteKeySets(fetcher{client}.fetch, now)}
}

// Error is a key set that cannot be had: it was never fetched, or too long ago. It says nothing of the token.
type Error struct {
	// URL is the address of the set.
	URL string

	cause error
}

// Error says what is wrong.
func (e *Error) Error() string { return "the key set at " + e.URL + ": " + e.cause.Error() }

// Unwrap is the reason; it wraps the error of the context if that ended first.
func (e *Error) Unwrap() error { return e.cause }

// ownTimeout bounds an exchange of a client of one's own.
const ownTimeout = 5 * time.Second

// New makes a set. Nothing is fetched before the first use. The error is about the configuration.
func New(config Config) (*Set, error) {
	if err := checkAddress(config.URL); err != nil {
		return nil, err
	}
	if config.Algorithms == nil {
		config.Algorithms = []string{jose.PS256, jose.ES256, jose.EdDSA}
	}
	cache := NewSets(config.HTTP, config.Now).cache
	return &Set{url: config.URL, algorithms: slices.Clone(config.Algorithms), cache: cache}, nil
}

func checkAddress(text string) error {
	address, err := url.Parse(text)
	if err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil || strings.Contains(text, "#") {
		return fmt.Errorf("keyset: %q is no address of a key set: it has to be https://, without user information and fragment", text)
	}
	return nil
}

// Verify checks the signature of a token with the keys that can have made it: those with its kid, or without one those for its
// alg. Errors are of type [*Error], or wrap [jose.ErrAlgorithm], [jose.ErrNoKey] or [jose.ErrSignature].
func (s *Set) Verify(ctx context.Context, token *jose.Token) error {
	if err := s.accepts(token.Header.Algorithm); err != nil {
		return err
	}
	return s.told(s.cache.Verify(ctx, s.url, token))
}

// Find returns the first key that may verify signatures of an algorithm: one with the kid, or without a kid any. Errors are of
// type [*Error], or wrap [jose.ErrAlgorithm] or [jose.ErrNoKey].
func (s *Set) Find(ctx context.Context, kid, algorithm string) (found jose.Key, err error) {
	if err := s.accepts(algorithm); err != nil {
		return jose.Key{}, err
	}
	err = s.cache.Try(ctx, s.url, func(set jose.KeySet) (unknown bool, verdict error) {
		found, verdict = set.Find(kid, algorithm)
		return verdict != nil, verdict
	})
	return found, s.told(err)
}

// VerifyMessage checks a signature in JWS form over a message that is no JWS with the keys at an address, as
// [jose.KeySet.VerifyMessage] does, and returns the key and its algorithm. Errors are of type [*Error], or wrap [jose.ErrNoKey] or
// [jose.ErrSignature].
func (s *Sets) VerifyMessage(
	ctx context.Context, address, kid, algorithm string, message, signature []byte,
) (key jose.Key, own string, err error) {
	if err := checkAddress(address); err != nil {
		return jose.Key{}, "", &Error{URL: address, cause: err}
	}
	err = s.cache.Try(ctx, address, func(set jose.KeySet) (unknown bool, verdict error) {
		key, own, verdict = set.VerifyMessage(kid, algorithm, message, signature)
		return errors.Is(verdict, jose.ErrNoKey), verdict
	})
	return key, own, told(address, err)
}

// Keys returns the whole set, to encrypt to one of its keys, say. The error is of type [*Error].
func (s *Set) Keys(ctx context.Context) (jose.KeySet, error) {
	set, err := s.cache.Keys(ctx, s.url)
	return set, s.told(err)
}

// accepts refuses an algorithm that is not one of the configuration.
func (s *Set) accepts(algorithm string) error {
	if slices.Contains(s.algorithms, algorithm) {
		return nil
	}
	return fmt.Errorf("%w: alg must be one of %s", jose.ErrAlgorithm, strings.Join(s.algorithms, ", "))
}

func (s *Set) told(err error) error { return told(s.url, err) }

// told makes an [*Error] of a set that cannot be had, and leaves verdicts as they are.
func told(address string, err error) error {
	if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
		return &Error{URL: address, cause: remote}
	}
	return err
}

type fetcher struct{ client *http.Client }

// fetch is a [jose.Fetch].
func (f fetcher) fetch(ctx context.Context, address string) ([]byte, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, 0, answered("it answered with status " + strconv.Itoa(response.StatusCode) + ", not 200")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jose.MaxKeySetSize+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > jose.MaxKeySetSize {
		return nil, 0, answered("it is larger than " + strconv.Itoa(jose.MaxKeySetSize) + " bytes")
	}
	return body, maxAge(response.Header), nil
}

// answered is a reason that lies in the answer. [jose.RemoteKeySets] repeats it.
type answered string

func (a answered) Error() string { return string(a) }

// Told is the reason.
func (a answered) Told() string { return string(a) }

// maxAge reads how long an answer stays fresh (RFC 9111 §5.2.2.1); 0 when it does not say, and the shortest time for one that
// is not to be kept.
func maxAge(header http.Header) time.Duration {
	const shortest = time.Second // [jose.RemoteKeySets] makes its own least time of it
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return shortest
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if errors.Is(err, strconv.ErrRange) {
				return 24 * time.Hour
			}
			if err == nil {
				return max(shortest, time.Duration(seconds)*time.Second)
			}
		}
	}
	return 0
}
