package flowclient

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Change alters a request before it is sent. form is nil when the request has none.
type Change func(form url.Values, header http.Header)

// Set gives a parameter a value.
func Set(name, value string) Change {
	return func(form url.Values, _ http.Header) {
		if form != nil {
			form.Set(name, value)
		}
	}
}

// Unset takes a parameter away.
func Unset(name string) Change { return func(form url.Values, _ http.Header) { form.Del(name) } }

// SetHeader gives a header a value.
func SetHeader(name, value string) Change {
	return func(_ url.Values, header http.Header) { header.Set(name, value) }
}

// Post sends a form with the client's authentication and, with a proof key, a DPoP proof. Any answer is a Reply; an
// error means that there was none.
func (c *Client) Post(ctx context.Context, address string, form url.Values, changes ...Change) (Reply, error) {
	return c.withNonce(false, func() (Reply, error) {
		all, header := cloneForm(form), http.Header{}
		if err := c.authenticate(ctx, all); err != nil {
			return Reply{}, err
		}
		if c.proves() && (!c.ProofForTokensOnly || address == c.Endpoints.Token) {
			proof, err := c.Proof(ctx, http.MethodPost, address, "", nil)
			if err != nil {
				return Reply{}, err
			}
			header.Set("DPoP", proof)
		}
		return c.send(ctx, http.MethodPost, address, all, header, changes)
	})
}

// Get calls a resource with an access token (RFC 9449 §7.1); with "" it fetches something public.
func (c *Client) Get(ctx context.Context, address, accessToken string, changes ...Change) (Reply, error) {
	return c.Call(ctx, http.MethodGet, address, accessToken, nil, changes...)
}

// Call calls a resource with an access token and, unless it is nil, a form.
func (c *Client) Call(ctx context.Context, method, address, accessToken string, form url.Values, changes ...Change) (Reply, error) {
	return c.withNonce(true, func() (Reply, error) {
		header := http.Header{}
		switch {
		case accessToken == "":
		case !c.proves():
			header.Set("Authorization", "Bearer "+accessToken)
		default:
			proof, err := c.Proof(ctx, method, address, accessToken, nil)
			if err != nil {
				return Reply{}, err
			}
			header.Set("Authorization", "DPoP "+accessToken)
			header.Set("DPoP", proof)
		}
		return c.send(ctx, method, address, cloneForm(form), header, changes)
	})
}

// proves reports whether the client makes DPoP proofs.
func (c *Client) proves() bool { return c.ProofKey.Algorithm() != "" }

// authenticate adds what authenticates the client. One that authenticates by its certificate says who it is.
func (c *Client) authenticate(ctx context.Context, form url.Values) error {
	if c.Key.Algorithm() == "" {
		form.Set("client_id", c.ID)
		return nil
	}
	assertion, err := c.Assertion(ctx, nil)
	if err != nil {
		return err
	}
	form.Set("client_assertion_type", AssertionFormat)
	form.Set("client_assertion", assertion)
	return nil
}

// withNonce sends a request again, once, if its proof needs a nonce (RFC 9449 §8, §9).
func (c *Client) withNonce(resource bool, send func() (Reply, error)) (Reply, error) {
	for again := false; ; again = true {
		reply, err := send()
		if err != nil {
			return Reply{}, err
		}
		c.keepNonce(resource, reply.Header.Get("DPoP-Nonce"))
		if again || c.KeepChallenges || !reply.WantsNonce() {
			return reply, nil
		}
		if c.Challenged != nil {
			c.Challenged(reply)
		}
	}
}

func (c *Client) send(ctx context.Context, method, address string, form url.Values, header http.Header, changes []Change) (Reply, error) {
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.Before != nil {
		c.Before(form, header)
	}
	for _, change := range changes {
		if change != nil {
			change(form, header)
		}
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return Reply{}, err
	}
	request.Header = header
	return send(c.HTTP, request)
}

// send sends a request and reads the whole answer, up to [MaxAnswer].
func send(through *http.Client, request *http.Request) (Reply, error) {
	response, err := through.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer+1))
	if err == nil && len(body) > MaxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", MaxAnswer)
	}
	if err != nil {
		return Reply{}, err
	}
	return Reply{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// cloneForm copies a form that changes may alter; nil stays nil.
func cloneForm(form url.Values) url.Values {
	copied := maps.Clone(form)
	for name, values := range copied {
		copied[name] = slices.Clone(values)
	}
	return copied
}
