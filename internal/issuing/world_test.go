package issuing_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/devsetup"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
	"countersign/internal/logbuffer"
	"countersign/internal/serve"
)

// world is a running process with several issuers.
type world struct {
	t *testing.T
	*setuptest.Several
	log    *logbuffer.Buffer
	reload chan os.Signal
	stop   func()
	ended  chan struct{}
}

// newWorld makes one that does not run yet.
func newWorld(t *testing.T, change func(name string, c *config.Config), further ...string) *world {
	t.Helper()
	return &world{t: t, Several: made.NewSeveral(t, change, further...), log: new(logbuffer.Buffer), reload: make(chan os.Signal, 1)}
}

// serve runs it until the test ends, or stop.
func (w *world) serve() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	w.ended = ended
	go func() {
		defer close(ended)
		err := serve.Run(ctx, serve.Options{Config: w.Main, Now: time.Now, Log: w.log, Reload: w.reload, Version: "test"})
		if err != nil {
			w.t.Errorf("the server ended with %v", err)
		}
	}()
	w.stop = func() {
		stop()
		<-ended
	}
	w.t.Cleanup(w.stop)
	w.logs("serving several issuers", 1)
}

// logs waits until a text was logged so many times.
func (w *world) logs(want string, times int) {
	w.t.Helper()
	for range 1200 {
		if strings.Count(w.log.String(), want) >= times {
			return
		}
		select {
		case <-w.ended:
			w.t.Fatalf("the server ended\n%s", w.log)
		case <-time.After(25 * time.Millisecond):
		}
	}
	w.t.Fatalf("not %d times %q in the log:\n%s", times, want, w.log)
}

// must ends the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// with works on the store of an issuer, beside the server.
func (w *world) with(name string, work func(a *admin.Admin)) {
	w.t.Helper()
	d, err := database.New(w.Issuers[name].Config, time.Now, nil)
	must(w.t, err)
	s, err := d.Open(w.t.Context())
	must(w.t, err)
	work(&admin.Admin{Store: s, Now: time.Now})
	must(w.t, s.Close())
}

// keys are those of a client that is registered at all issuers alike: nothing but the issuer tells one from the other.
type keys struct{ client, proof jose.PrivateKey }

func newKeys(t *testing.T) keys {
	t.Helper()
	client, err := jose.NewPrivateKey(jose.ES256)
	must(t, err)
	proof, err := jose.NewPrivateKey(jose.ES256)
	must(t, err)
	return keys{client, proof}
}

const callback = "https://client.example/callback"

// register registers a client of an identifier at an issuer.
func (w *world) register(name, id string, k keys, change func(map[string]any)) {
	w.t.Helper()
	metadata := map[string]any{
		"client_name": "The same everywhere", "redirect_uris": []string{callback}, "scope": "openid accounts offline_access",
		"grant_types":                []string{"authorization_code", "refresh_token", flowclient.CIBAGrant},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + string(k.client.PublicJWK()) + `]}`),
		"dpop_bound_access_tokens": true, "backchannel_token_delivery_mode": "poll",
		"post_logout_redirect_uris": []string{callback},
	}
	if change != nil {
		change(metadata)
	}
	text, err := json.Marshal(metadata)
	must(w.t, err)
	w.with(name, func(a *admin.Admin) {
		_, err := a.AddClient(w.t.Context(), admin.NewClient{ID: id, Metadata: text})
		must(w.t, err)
	})
}

// client is a registered client at an issuer.
func (w *world) client(name, id string, k keys) *flowclient.Client {
	w.t.Helper()
	through := flowclient.NewHTTP(nil)
	through.Transport = w.Transport(nil)
	c := flowclient.New(flowclient.Config{
		Issuer: w.Issuers[name].Config.Issuer, HTTP: through, ID: id, RedirectURI: callback, Scope: "openid accounts offline_access",
		Key: k.client, ProofKey: k.proof,
	})
	must(w.t, c.Discover(w.t.Context()))
	return c
}

// browser is one of alice at an issuer.
func (w *world) browser(name string) *flowclient.Browser {
	w.t.Helper()
	b, err := flowclient.NewBrowser(w.Transport(nil))
	must(w.t, err)
	demo, err := devsetup.LoadDemo(w.Issuers[name].Config)
	must(w.t, err)
	b.Username, b.Password = "alice", demo.Password
	return b
}
