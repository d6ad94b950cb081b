package registration_test

import (
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"net/http"
)

// managed is a registration that its client looks after.
type managed struct {
	*fapitest.Client
	token, address, id string
	// body is what was registered.
	body map[string]any
}

func manages(c *fapitest.Client, bearer string, body map[string]any) managed {
	c.World.T.Helper()
	r := c.RegisteredSelf(bearer, body)
	return managed{c, r.Text("registration_access_token"), r.Text("registration_client_uri"), r.Text("client_id"), body}
}

func (m managed) read() fapitest.Reply {
	return m.SendJSON(http.MethodGet, m.address, m.token, nil, nil)
}

func (m managed) delete() fapitest.Reply {
	return m.SendJSON(http.MethodDelete, m.address, m.token, nil, nil)
}

// replace sends what was registered with the client_id; change may alter it.
func (m managed) replace(change func(map[string]any)) fapitest.Reply {
	m.World.T.Helper()
	body := map[string]any{"client_id": m.id}
	for name, value := range m.body {
		body[name] = value
	}
	if change != nil {
		change(body)
	}
	return m.SendJSON(http.MethodPut, m.address, m.token, body, nil)
}

// organisation is an applicant with a certificate of the client CA.
func organisation(w *fapitest.World, name string) *fapitest.Client {
	certificate := w.ClientCA.Issue(w.T, name, w.Clock.Now())
	return w.Applicant(&certificate)
}

// played is the client application behind a registration.
func played(w *fapitest.World, r fapitest.Reply, key jose.PrivateKey) *fapitest.Client {
	c := &fapitest.Client{
		World: w, ID: r.Text("client_id"), RedirectURI: "https://client.example/callback", Scope: "openid profile accounts offline_access",
		Key: key, ProofKey: fapitest.NewKey(w.T, jose.ES256), DPoP: true, Assertion: true,
	}
	c.HTTP = w.Transport(c)
	return c
}
