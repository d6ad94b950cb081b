// Package signin makes of the configuration what package upstream needs to have users signed in by a provider elsewhere.
package signin

import (
	"context"
	"fmt"
	"strings"

	"countersign/fapi/upstream"
	"countersign/internal/config"
	"countersign/internal/outbound"
	"countersign/mtls"
	"countersign/rp/client"
	"countersign/signer"
)

// Settings are those of the table [login], with how the provider is reached and, where this server authenticates to it by a certificate, that.
// keys is called when a key is needed.
func Settings(c config.Login, policy outbound.Policy, keys func() *signer.Signer) upstream.Settings {
	made := upstream.Settings{
		Issuer: c.Issuer, ClientID: c.ClientID, Scopes: strings.Fields(c.Scopes), UserInfo: c.UserInfo, Username: c.Username,
		KnownOnly: c.Users == "known", SignOut: c.SignOut, Weak: weaknesses(c.Weak), Transport: outbound.New(policy).Transport(),
		Credential: func(ctx context.Context) (upstream.Credential, error) { return key(ctx, keys(), c.Algorithm) },
	}
	if policy.Certificate != nil {
		made.Credential = func(context.Context) (upstream.Credential, error) {
			shown := policy.Certificate.Load() // it may have been read again
			return upstream.Credential{ID: mtls.Thumbprint(shown.Leaf), Auth: client.MTLS(*shown), Binding: client.MTLSBound()}, nil
		}
	}
	for _, class := range c.Classes {
		made.Classes = append(made.Classes, upstream.Class{
			Upstream: class.Upstream, With: strings.Fields(class.With), ACR: class.ACR, AMR: strings.Fields(class.AMR),
		})
	}
	for _, claim := range c.TakenOver() {
		made.Claims = append(made.Claims, upstream.Claim(claim))
	}
	return made
}

// weaknesses are those of the names of login.weak.
func weaknesses(names string) client.Weak {
	var weak client.Weak
	fields := map[string]*bool{
		"no_par": &weak.NoPAR, "no_iss": &weak.NoIss, "unannounced_pkce": &weak.UnannouncedPKCE, "bearer": &weak.Bearer, "rs256": &weak.RS256,
		"token_endpoint_audience": &weak.TokenEndpointAudience, "untyped_logout_token": &weak.UntypedLogoutToken,
	}
	for name := range strings.FieldsSeq(names) {
		if field, known := fields[name]; known {
			*field = true
		}
	}
	return weak
}

// key is the credential of the active key of an algorithm with the use login. Errors are those of the signer, with what to run.
func key(ctx context.Context, keys *signer.Signer, algorithm string) (upstream.Credential, error) {
	active, err := keys.Active(ctx, signer.UseLogin, signer.Algorithm(algorithm))
	if err != nil {
		return upstream.Credential{}, fmt.Errorf("login.issuer_algorithm: %w; make one with: countersign keys generate --alg %s --use %s --activate", err, algorithm, signer.UseLogin)
	}
	made, err := client.KeyFunc(active.ID, string(active.Algorithm), active.Public, active.Sign)
	if err != nil {
		return upstream.Credential{}, err
	}
	return upstream.Credential{ID: active.ID, Auth: client.PrivateKeyJWT(made), Binding: client.DPoP(made)}, nil
}
