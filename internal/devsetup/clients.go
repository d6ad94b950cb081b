package devsetup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"countersign/internal/admin"
	"countersign/internal/jose"
	"countersign/internal/wholefile"
	"countersign/store"
)

// The two clients of the demo.
const (
	demoDPoP = "demo-dpop"
	demoMTLS = "demo-mtls"
)

// demoClients registers the demo's clients and writes what the demo needs to be them.
func (d *setup) demoClients(ctx context.Context, a *admin.Admin) error {
	callback, err := d.callback(ctx, a)
	if err != nil {
		return err
	}
	grants := []string{"authorization_code", "refresh_token"}
	key, err := d.privateKey(demoDPoP + ".jwk")
	if err != nil {
		return err
	}
	if _, err := d.privateKey(demoDPoP + "-proof.jwk"); err != nil {
		return err
	}
	err = d.demoClient(ctx, a, demoDPoP, map[string]any{
		"client_name":                "Demo: an app with DPoP",
		"redirect_uris":              []string{callback},
		"grant_types":                grants,
		"scope":                      "openid accounts offline_access",
		"token_endpoint_auth_method": "private_key_jwt",
		"jwks":                       json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`),
		"dpop_bound_access_tokens":   true,
	})
	if err != nil {
		return err
	}
	if err := wholefile.Write(d.path(callbackFile), []byte(callback+"\n"), 0o600); err != nil {
		return err
	}
	if err := d.clientCertificate(demoMTLS); err != nil {
		return err
	}
	return d.demoClient(ctx, a, demoMTLS, map[string]any{
		"client_name":                "Demo: a server with a certificate",
		"redirect_uris":              []string{callback},
		"grant_types":                grants,
		"scope":                      "accounts",
		"token_endpoint_auth_method": "tls_client_auth",
		"tls_client_auth_subject_dn": "CN=" + demoMTLS,
		"tls_client_certificate_bound_access_tokens": true,
	})
}

// callback is where the demo's client takes its redirect: at the port that is given, else where it did before.
func (d *setup) callback(ctx context.Context, a *admin.Admin) (string, error) {
	if d.DemoPort != 0 {
		return Callback(d.DemoPort), nil
	}
	existing, err := a.Store.Client(ctx, demoDPoP)
	if errors.Is(err, store.ErrNotFound) {
		return Callback(demoPort), nil
	}
	if err != nil {
		return "", err
	}
	var registered struct {
		RedirectURIs []string `json:"redirect_uris"`
	}
	if err := json.Unmarshal(existing.Metadata, &registered); err != nil || len(registered.RedirectURIs) == 0 {
		return Callback(demoPort), nil
	}
	return registered.RedirectURIs[0], nil
}

// Callback is where a demo at a port takes its redirect.
func Callback(port int) string { return fmt.Sprintf("https://localhost:%d/callback", port) }

// demoClient registers a client, or changes it when what it is registered for has changed.
func (d *setup) demoClient(ctx context.Context, a *admin.Admin, id string, members map[string]any) error {
	metadata, err := json.Marshal(members)
	if err != nil {
		return err
	}
	existing, err := a.Store.Client(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && sameJSON(existing.Metadata, metadata) {
		return nil
	}
	_, err = a.AddClient(ctx, admin.NewClient{ID: id, Profile: admin.DefaultProfile, Metadata: metadata, Replace: true})
	if err != nil {
		return fmt.Errorf("client %s: %w", id, err)
	}
	d.note(true, "client "+id)
	return nil
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
func (d *setup) privateKey(name string) (jose.PrivateKey, error) {
	file := d.path("demo/" + name)
	key, err := readKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return jose.PrivateKey{}, err
	}
	return key, wholefile.Write(file, append(key.PrivateJWK(), '\n'), 0o600)
}

func readKey(file string) (jose.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return jose.PrivateKey{}, err
	}
	key, err := jose.ParsePrivateJWK(bytes.TrimSpace(text))
	if err != nil {
		return jose.PrivateKey{}, fmt.Errorf("%s: %w; remove it and try again", file, err)
	}
	return key, nil
}

// clientCertificate makes a certificate of the client authority, in the demo's folder.
func (d *setup) clientCertificate(name string) error {
	_, fresh, err := ensure(d.path("demo"), clientCredential(name), &d.clients, d.Now())
	d.note(fresh, "certificate of "+name)
	return err
}
