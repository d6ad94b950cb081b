package doctor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"countersign/fapi/upstream"
	"countersign/internal/hsm"
	"countersign/internal/serve"
	"countersign/rp/client"
	"countersign/signer"
)

// upstream asks the provider that signs users in for its metadata, as a node does, and says what does not fit.
func (d *Doctor) upstream(ctx context.Context) (f Findings) {
	const topic = "login"
	if d.Config.Login.Issuer == "" {
		return nil
	}
	var keys *signer.Signer
	if d.Config.Login.Authentication != "tls_client_auth" {
		if !d.reached || d.store == nil {
			return nil // said before
		}
		var err error
		if keys, err = signer.New(ctx, signer.Config{Catalogue: hsm.Catalogue(d.store), Replicas: d.tokens.Replicas(), Now: d.Now}); err != nil {
			return nil // said before
		}
	}
	settings, err := serve.Upstream(d.Config, d.Now, keys)
	if err != nil {
		f.fail(topic, "%v", err)
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	credential, err := settings.Credential(ctx)
	if err != nil {
		f.fail(topic, "%v", err)
		return f
	}
	provider, err := client.New(ctx, settings.Configure(credential, d.Config.Issuer+upstream.CallbackPath, d.Now, slog.New(slog.DiscardHandler)))
	if weak, ok := errors.AsType[*client.WeakProviderError](err); ok {
		f.fail(topic, "login.issuer: %s lacks: %s; name it in login.weak, or have the provider changed", weak.Issuer, strings.Join(weak.Lacks, "; "))
		return f
	}
	if err != nil {
		f.fail(topic, "login.issuer: %v", err)
		return f
	}
	known := provider.Metadata()
	f.ok(topic, "login.issuer answers, and its metadata fit; this server is %s there, with the redirect URI %s", settings.ClientID, d.Config.Issuer+upstream.CallbackPath)
	if weak := settings.Weak.Names(); len(weak) > 0 {
		f.warn(topic, "login.weak: less than the FAPI 2.0 Security Profile is asked of the provider: %s", d.Config.Login.Weak)
	}
	for _, class := range settings.Classes {
		if class.Upstream != "" && len(known.ACRValuesSupported) > 0 && !slices.Contains(known.ACRValuesSupported, class.Upstream) {
			f.warn(topic, "login.classes: the provider does not announce the acr %q", class.Upstream)
		}
	}
	if !known.BackchannelLogoutSession {
		f.warn(topic, "the provider does not announce back-channel logout by session: a logout there does not end sessions here")
	}
	if settings.SignOut && known.EndSessionEndpoint == "" {
		f.warn(topic, "login.sign_out: the provider has no end_session_endpoint: users who sign out here stay signed in there")
	}
	return f
}
