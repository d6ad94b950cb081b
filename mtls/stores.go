package mtls

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Store is one set of authorities with its own rule for revocation, such as that of one ecosystem, as files that may be
// replaced while the server runs.
type Store struct {
	// Name is for messages.
	Name string
	// Roots and Intermediates are files of PEM; Lists one of revocation lists. All but Roots may be empty.
	Roots, Intermediates, Lists string
	// Revocation checks what the store trusts; nil checks nothing.
	Revocation *Revocation
}

// Stores are sets of authorities read from files. A certificate is trusted if one of them trusts it, and refused if that
// one knows it as revoked. They may be used, and reloaded, by many at once.
type Stores struct {
	stores  []Store
	now     func() time.Time
	current atomic.Pointer[[]loaded]
}

type loaded struct {
	files      [3][]byte
	trust      Trust
	revocation *Revocation
	// problems are the certificates in the files that cannot be used, and are left out.
	problems []error
}

// NewStores reads the files. The error names the one that cannot be used.
func NewStores(stores []Store, now func() time.Time) (*Stores, error) {
	s := &Stores{stores: stores, now: now}
	_, err := s.Reload()
	return s, err
}

// Reload reads all files again and reports whether something changed. With an error everything stays as it was: a file
// that is half written takes nobody's trust away, and gives nobody any.
func (s *Stores) Reload() (changed bool, err error) {
	var before []loaded
	if current := s.current.Load(); current != nil {
		before = *current
	}
	var fresh []loaded
	for i, store := range s.stores {
		one, err := s.read(store)
		if err != nil {
			return false, fmt.Errorf("mtls: trust store %s: %w", store.Name, err)
		}
		fresh = append(fresh, one)
		for file := range one.files {
			if before == nil || !bytes.Equal(one.files[file], before[i].files[file]) {
				changed = true
			}
		}
	}
	if !changed {
		return false, nil
	}
	for _, one := range fresh {
		if one.revocation != nil {
			if err := one.revocation.SetLists(one.files[2]); err != nil {
				return false, err
			}
		}
	}
	s.current.Store(&fresh)
	return true, nil
}

// Problems are the certificates in the files, as they were last read, that cannot be used and are left out: nothing
// that only they have issued is trusted. Each error names the file.
func (s *Stores) Problems() []error {
	var all []error
	for _, one := range *s.current.Load() {
		all = append(all, one.problems...)
	}
	return all
}

// poolOf reads certificates in PEM. The pool is nil if none can be used; what cannot is an error for each.
func poolOf(encoded []byte) (pool *x509.CertPool, unusable []error) {
	for block, rest := pem.Decode(encoded); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := ParseCertificate(block.Bytes)
		if err != nil {
			unusable = append(unusable, err)
			continue
		}
		if pool == nil {
			pool = x509.NewCertPool()
		}
		pool.AddCert(understood(certificate))
	}
	return pool, unusable
}

func (s *Stores) read(store Store) (loaded, error) {
	one := loaded{trust: Trust{Now: s.now}, revocation: store.Revocation}
	for i, name := range []string{store.Roots, store.Intermediates, store.Lists} {
		if name == "" {
			continue
		}
		encoded, err := os.ReadFile(name)
		if err != nil {
			return loaded{}, err
		}
		one.files[i] = encoded
		if i == 2 {
			if _, err := ParseLists(encoded); err != nil {
				return loaded{}, fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		pool, unusable := poolOf(encoded)
		switch {
		case pool == nil && len(unusable) > 0:
			return loaded{}, fmt.Errorf("%s holds no certificate that can be used: %w", name, errors.Join(unusable...))
		case pool == nil:
			return loaded{}, fmt.Errorf("%s holds no certificate in PEM form", name)
		}
		for _, err := range unusable {
			one.problems = append(one.problems, fmt.Errorf("%s: %w", name, err))
		}
		if i == 0 {
			one.trust.Roots = pool
		} else {
			one.trust.Intermediates = pool
		}
	}
	return one, nil
}

// verify asks one store after the other about a certificate whose usage is right. A certificate that one of them knows as revoked is not asked about further.
func (s *Stores) verify(ctx context.Context, p *Presented) error {
	err := fmt.Errorf("%w: no trust anchors are configured", ErrUntrusted)
	for _, one := range *s.current.Load() {
		var chains [][]*x509.Certificate
		if chains, err = one.trust.paths(p); err != nil {
			continue
		}
		// One chain that nothing is wrong with is enough, unless the client's own certificate is taken back.
		for _, chain := range chains {
			if err = one.revocation.Check(ctx, chain); err == nil {
				return nil
			}
		}
		if errors.Is(err, ErrRevoked) {
			return err
		}
	}
	return err
}
