package mtls

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// ErrRevoked is a certificate that its issuer has revoked. It wraps [ErrUntrusted].
var ErrRevoked = untrusted("it is revoked")

// RevocationMode says what happens when the status of a certificate cannot be found out.
type RevocationMode string

// The modes. A certificate that is known to be revoked is refused by both soft and hard.
const (
	RevocationOff  RevocationMode = "off"
	RevocationSoft RevocationMode = "soft"
	RevocationHard RevocationMode = "hard"
)

const (
	// revocationGrace is how long the last good answer is used after its time when there is no newer one.
	revocationGrace = time.Hour
	// revocationRetry is how long an address that failed is left alone.
	revocationRetry = 30 * time.Second
	// revocationTimeout bounds all that one certificate may cost in fetching.
	revocationTimeout = 8 * time.Second
	// reportAgain is how long a problem is not reported again.
	reportAgain = time.Hour
	// maxRevocationCache is how many answers are remembered.
	maxRevocationCache = 10_000
)

// Fetch gets a document from an address that a certificate names. It must be safe against addresses that were chosen to
// attack somebody.
type Fetch func(ctx context.Context, address, accept string) ([]byte, error)

// Revocation looks certificates up in revocation lists (RFC 5280 §6.3) and by OCSP (RFC 6960). Lists that the operator
// keeps come first, then OCSP, then the lists that the certificate names. It may be used by many at once.
type Revocation struct {
	// OnProblem, if not nil, is called with what an operator should know: that an answer is used after its end, that a
	// certificate passes whose status could not be found out. It is called at most once an hour with each problem. Set it
	// before first use.
	OnProblem func(ctx context.Context, problem string)
	// MaxAnswers is how many answers are remembered, and how many problems; 0 is 10,000. When it is full, all are forgotten. Set it before
	// first use.
	MaxAnswers int

	mode  RevocationMode
	fetch Fetch
	now   func() time.Time

	mu    sync.Mutex
	lists []*x509.RevocationList
	cache map[string]answerAbout
	// reported holds until when a problem is not reported again.
	reported map[string]time.Time
}

// answerAbout is what an address said, until when.
type answerAbout struct {
	list   *x509.RevocationList
	status *ocsp.Response
	until  time.Time
	again  time.Time // when a failed address may be asked again
}

// NewRevocation makes a checker. fetch may be nil: then only lists that the operator keeps are asked.
func NewRevocation(mode RevocationMode, fetch Fetch, now func() time.Time) *Revocation {
	return &Revocation{mode: mode, fetch: fetch, now: now, cache: map[string]answerAbout{}, reported: map[string]time.Time{}}
}

// ParseLists reads revocation lists: PEM, or one in DER. Errors wrap [ErrMalformed].
func ParseLists(encoded []byte) ([]*x509.RevocationList, error) {
	var lists []*x509.RevocationList
	for block, rest := pem.Decode(encoded); block != nil; block, rest = pem.Decode(rest) {
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: not a certificate revocation list: %w", ErrMalformed, err)
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 && len(encoded) > 0 {
		list, err := x509.ParseRevocationList(encoded)
		if err != nil {
			return nil, fmt.Errorf("%w: not a certificate revocation list: %w", ErrMalformed, err)
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// SetLists replaces the lists that the operator keeps, as [ParseLists] reads them. With an error the lists before stay.
func (r *Revocation) SetLists(encoded []byte) error {
	lists, err := ParseLists(encoded)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists = lists
	return nil
}

// Check looks up every certificate of a verified chain but the trust anchor. The error wraps [ErrRevoked], or, in hard
// mode only, [ErrUntrusted] when its status could not be found out.
func (r *Revocation) Check(ctx context.Context, chain []*x509.Certificate) error {
	if r == nil || r.mode == RevocationOff {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, revocationTimeout)
	defer cancel()
	for i := range len(chain) - 1 {
		known, err := r.status(ctx, chain[i], chain[i+1])
		if err != nil {
			return err
		}
		if !known && r.mode == RevocationHard {
			return untrusted("nobody can tell whether %s is revoked (revocation is hard)", subjectText(chain[i].RawSubject))
		}
		if !known {
			r.report(ctx, fmt.Sprintf("nobody can tell whether %s is revoked; it passes, since revocation is soft", chain[i].Subject))
		}
	}
	return nil
}

// status reports whether it is known that a certificate is good; an error means that it is known to be revoked.
func (r *Revocation) status(ctx context.Context, certificate, issuer *x509.Certificate) (known bool, err error) {
	r.mu.Lock()
	lists := r.lists
	r.mu.Unlock()
	for _, list := range lists {
		if r.current(list) && applies(list, issuer) {
			known = true
			r.late(ctx, "the revocation list of "+list.Issuer.String(), list.NextUpdate)
			if listed(list, certificate) {
				return true, ErrRevoked
			}
		}
	}
	if known || r.fetch == nil {
		return known, nil
	}
	for _, address := range certificate.OCSPServer {
		status := r.ocsp(ctx, address, certificate, issuer)
		if status == nil {
			continue
		}
		switch status.Status {
		case ocsp.Good:
			return true, nil
		case ocsp.Revoked:
			return true, ErrRevoked
		}
	}
	for _, address := range certificate.CRLDistributionPoints {
		if list := r.list(ctx, address, issuer); list != nil {
			if listed(list, certificate) {
				return true, ErrRevoked
			}
			return true, nil
		}
	}
	return false, nil
}

// current reports whether a list is current, with some grace for issuers that are late.
func (r *Revocation) current(list *x509.RevocationList) bool {
	now := r.now()
	return !now.Before(list.ThisUpdate) && !list.NextUpdate.IsZero() && now.Before(list.NextUpdate.Add(revocationGrace))
}

// applies reports whether a list is the issuer's own and whole. A delta, or one that covers a part only, is marked by a
// critical extension (RFC 5280 §5.2.4, §5.2.5) and is not used.
func applies(list *x509.RevocationList, issuer *x509.Certificate) bool {
	for _, extension := range list.Extensions {
		if extension.Critical {
			return false
		}
	}
	return bytes.Equal(list.RawIssuer, issuer.RawSubject) && strongSignature(list.SignatureAlgorithm) && list.CheckSignatureFrom(issuer) == nil
}

func listed(list *x509.RevocationList, certificate *x509.Certificate) bool {
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(certificate.SerialNumber) == 0 {
			return true
		}
	}
	return false
}

// list gives the list at an address, or nil.
func (r *Revocation) list(ctx context.Context, address string, issuer *x509.Certificate) *x509.RevocationList {
	key := "crl " + address + " " + Thumbprint(issuer)
	found := r.remembered(ctx, key, func(ctx context.Context) (answerAbout, error) {
		body, err := r.fetch(ctx, address, "application/pkix-crl")
		if err != nil {
			return answerAbout{}, err
		}
		list, err := x509.ParseRevocationList(body)
		if err != nil {
			return answerAbout{}, err
		}
		if !r.current(list) || !applies(list, issuer) {
			return answerAbout{}, errors.New("mtls: the list is not the issuer's, not whole, or not of this time")
		}
		return answerAbout{list: list, until: list.NextUpdate}, nil
	})
	if found.list != nil {
		r.late(ctx, "the revocation list at "+address, found.until)
	}
	return found.list
}

// requestOptions have SHA-1 name the issuer, which every responder knows (RFC 5019 §2.1.1), or SHA-256 where FIPS 140-3 is enforced.
func requestOptions() *ocsp.RequestOptions {
	if fips140.Enforced() {
		return &ocsp.RequestOptions{Hash: crypto.SHA256}
	}
	return nil
}

// ocsp gives what a responder says of a certificate, or nil. The request is sent with GET (RFC 6960 §A.1).
func (r *Revocation) ocsp(ctx context.Context, address string, certificate, issuer *x509.Certificate) *ocsp.Response {
	key := "ocsp " + address + " " + Thumbprint(certificate)
	found := r.remembered(ctx, key, func(ctx context.Context) (answerAbout, error) {
		request, err := ocsp.CreateRequest(certificate, issuer, requestOptions())
		if err != nil {
			return answerAbout{}, err
		}
		target := strings.TrimSuffix(address, "/") + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(request))
		body, err := r.fetch(ctx, target, "application/ocsp-response")
		if err != nil {
			return answerAbout{}, err
		}
		status, err := ocsp.ParseResponseForCert(body, certificate, issuer)
		if err != nil {
			return answerAbout{}, err
		}
		now := r.now()
		if !strongSignature(status.SignatureAlgorithm) || now.Before(status.ThisUpdate) || status.NextUpdate.IsZero() || !now.Before(status.NextUpdate.Add(revocationGrace)) {
			return answerAbout{}, errors.New("mtls: the answer is weakly signed or not of this time")
		}
		if status.Certificate != nil && now.After(status.Certificate.NotAfter) {
			return answerAbout{}, errors.New("mtls: the responder's certificate has expired")
		}
		return answerAbout{status: status, until: status.NextUpdate}, nil
	})
	if found.status != nil {
		r.late(ctx, "what "+address+" says of "+certificate.Subject.String(), found.until)
	}
	return found.status
}

// remembered gives the last answer while it is current, and asks again otherwise. When that fails, the last answer
// stays good for the grace.
func (r *Revocation) remembered(ctx context.Context, key string, ask func(context.Context) (answerAbout, error)) answerAbout {
	now := r.now()
	r.mu.Lock()
	last := r.cache[key]
	r.mu.Unlock()
	if now.Before(last.until) || now.Before(last.again) {
		return r.stillGood(last, now)
	}
	fresh, err := ask(ctx)
	if err != nil {
		fresh = last
		fresh.again = now.Add(revocationRetry)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cache) >= r.most() {
		clear(r.cache)
	}
	r.cache[key] = fresh
	return r.stillGood(fresh, now)
}

// most is how many answers are remembered.
func (r *Revocation) most() int { return cmp.Or(r.MaxAnswers, maxRevocationCache) }

func (r *Revocation) stillGood(a answerAbout, now time.Time) answerAbout {
	if now.Before(a.until.Add(revocationGrace)) {
		return a
	}
	return answerAbout{}
}
