// Package access lets operators in: it knows them by their certificates, holds each request to a role, and answers what is
// refused. What is behind it is a list of [Route] values, of the admin API and of the console.
package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/mtls"
	"countersign/mtls/dn"
)

// Role is what an operator may do.
type Role string

// The roles. ClientManager and SecurityOfficer are readers, too.
const (
	Reader          Role = "reader"
	ClientManager   Role = "client_manager"
	SecurityOfficer Role = "security_officer"
)

// Known is how an operator is known, as the configuration has it.
type Known struct {
	Name string
	// Subject is that of the certificate (RFC 4514); or else CertificateFile has it, PEM, one or several.
	Subject, CertificateFile string
	Roles                    []Role
}

// Operator is who makes a request.
type Operator struct {
	// Name is that of the configuration, which the audit log has.
	Name  string
	Roles []Role
	// Address is the host that the request comes from.
	Address string
	// Certificate is the SHA-256 of the certificate that was shown: two names with one certificate are one person.
	Certificate [sha256.Size]byte
	// ExpiresAt is the end of that certificate.
	ExpiresAt time.Time
}

// May reports whether the operator has one of some roles. Whoever has any role is a [Reader].
func (o Operator) May(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(role Role) bool {
		return slices.Contains(o.Roles, role) || role == Reader && len(o.Roles) > 0
	})
}

type operatorKey struct{}

// With returns a context that carries the operator.
func With(ctx context.Context, o Operator) context.Context {
	return context.WithValue(ctx, operatorKey{}, o)
}

// From returns the operator of a request; the zero value, who may do nothing, where none was let in.
func From(ctx context.Context) Operator {
	o, _ := ctx.Value(operatorKey{}).(Operator)
	return o
}

// Directory knows operators.
type Directory struct {
	// Stores are the authorities that issue operators' certificates, and how revocation is looked up; nil trusts nobody. The files are read
	// again for each request: an authority that is taken out, and a certificate that a list revokes, is not trusted by connections
	// that are open either.
	Stores    *mtls.Stores
	Operators []Known
	Now       func() time.Time
}

// ErrUnknown: the certificate is trusted, and is nobody's.
var ErrUnknown = errors.New("access: no operator has this certificate")

// Trust checks that a certificate leads to one of the authorities now, for client authentication and with strong keys all the
// way (see [mtls.Trust]).
func (d Directory) Trust(ctx context.Context, certificates []*x509.Certificate) error {
	if len(certificates) == 0 {
		return errors.New("access: no client certificate was shown")
	}
	if d.Stores != nil {
		if _, err := d.Stores.Reload(); err != nil {
			return err
		}
	}
	return mtls.Trust{Stores: d.Stores, Now: d.Now}.VerifyContext(ctx, &mtls.Presented{Leaf: certificates[0], Chain: certificates[1:]})
}

// Find finds whose certificate it is; [ErrUnknown]. It does not check that it is trusted. One that is several operators' is
// nobody's.
func (d Directory) Find(certificate *x509.Certificate) (Operator, error) {
	subject, err := dn.OfSubject(certificate)
	if err != nil {
		return Operator{}, fmt.Errorf("%w: its subject cannot be read: %w", ErrUnknown, err)
	}
	var found []Known
	for _, known := range d.Operators {
		is, err := known.has(certificate, subject)
		if err != nil {
			return Operator{}, err
		}
		if is {
			found = append(found, known)
		}
	}
	if len(found) != 1 {
		return Operator{}, ErrUnknown
	}
	return Operator{
		Name: found[0].Name, Roles: found[0].Roles, Certificate: sha256.Sum256(certificate.Raw), ExpiresAt: certificate.NotAfter,
	}, nil
}

// has reports whether a certificate with a subject is the operator's.
func (k Known) has(certificate *x509.Certificate, subject dn.Name) (bool, error) {
	if k.Subject != "" {
		wanted, err := dn.Parse(k.Subject)
		return err == nil && wanted.Equal(subject), err
	}
	rest, err := os.ReadFile(k.CertificateFile)
	if err != nil {
		return false, fmt.Errorf("admin.operators: certificate_file of %s: %w", k.Name, err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return false, nil
		}
		if block.Type == "CERTIFICATE" && bytes.Equal(block.Bytes, certificate.Raw) {
			return true, nil
		}
	}
}

// RolesOf reads roles separated by spaces.
func RolesOf(text string) (roles []Role) {
	for role := range strings.FieldsSeq(text) {
		roles = append(roles, Role(role))
	}
	return roles
}
