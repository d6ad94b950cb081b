package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"countersign/fapi"
	"countersign/internal/config"
	"countersign/internal/jose"
	"countersign/store"
)

// The two clients of the demo.
const (
	demoDPoP = "demo-dpop"
	demoMTLS = "demo-mtls"
)

// demoClients registers the demo's clients and writes what the demo needs to be them.
func (d *development) demoClients(ctx context.Context, c *config.Config, s store.Store) error {
	callback := fmt.Sprintf("https://localhost:%d/callback", d.flags.DemoPort)
	key, err := d.privateKey(demoDPoP + ".jwk")
	if err != nil {
		return err
	}
	if _, err := d.privateKey(demoDPoP + "-proof.jwk"); err != nil {
		return err
	}
	err = d.demoClient(ctx, s, demoDPoP, fapi.Metadata{
		ClientName:              "Demo: an app with DPoP",
		RedirectURIs:            []string{callback},
		GrantTypes:              []string{fapi.AuthorizationCode, fapi.RefreshToken},
		Scope:                   "openid accounts offline_access",
		TokenEndpointAuthMethod: fapi.PrivateKeyJWT,
		JWKS:                    json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`),
		DPoPBoundAccessTokens:   true,
	})
	if err != nil {
		return err
	}
	if _, err := d.clientCertificate(demoMTLS); err != nil {
		return err
	}
	return d.demoClient(ctx, s, demoMTLS, fapi.Metadata{
		ClientName:                            "Demo: a server with a certificate",
		RedirectURIs:                          []string{callback},
		GrantTypes:                            []string{fapi.AuthorizationCode, fapi.RefreshToken},
		Scope:                                 "accounts",
		TokenEndpointAuthMethod:               fapi.TLSClientAuth,
		TLSClientAuthSubjectDN:                "CN=" + demoMTLS,
		TLSClientCertificateBoundAccessTokens: true,
	})
}

// demoClient registers a client, or changes it when what it is registered for has changed.
func (d *development) demoClient(ctx context.Context, s store.Store, id string, m fapi.Metadata) error {
	metadata, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := checkClient(id, defaultProfile, metadata); err != nil {
		return fmt.Errorf("client %s: %w", id, err)
	}
	record := store.Client{ID: id, Profile: defaultProfile, Metadata: metadata, Version: 1}
	existing, err := s.Client(ctx, id)
	switch {
	case err == nil && sameJSON(existing.Metadata, metadata):
		return nil
	case err == nil:
		record.Version, record.Disabled, record.CreatedAt = existing.Version+1, existing.Disabled, existing.CreatedAt
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	d.note(true, "client "+id)
	return putClient(ctx, s, record, d.p)
}

// sameJSON compares without spaces: a database may keep JSON in its own form.
func sameJSON(a, b []byte) bool {
	canonical := func(text []byte) []byte {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return text
		}
		written, err := json.Marshal(value) // sorts the members
		if err != nil {
			return text
		}
		return written
	}
	return bytes.Equal(canonical(a), canonical(b))
}

// privateKey keeps an ES256 key of a demo client in a file that only this user can read.
func (d *development) privateKey(name string) (jose.PrivateKey, error) {
	file := d.path("demo/" + name)
	text, err := os.ReadFile(file)
	if err == nil {
		key, err := jose.ParsePrivateJWK(bytes.TrimSpace(text))
		if err != nil {
			return jose.PrivateKey{}, fmt.Errorf("%s: %w; remove it and try again", file, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return jose.PrivateKey{}, err
	}
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return jose.PrivateKey{}, err
	}
	return key, writeFile(file, append(key.PrivateJWK(), '\n'), 0o600)
}
