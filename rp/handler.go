package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"countersign/rp/client"
	"countersign/rp/internal/web"
	"countersign/rp/session"
)

// Handler serves the application's endpoints below a prefix, "/auth":
//
//	GET  /login                a login; return_to is a path. Also initiate_login_uri (OpenID Connect Core §4)
//	GET  /callback             the redirect URI; POST for response_mode form_post
//	GET  /logout               asks whether to sign out; POST does. See also [Session.LogoutPath]
//	GET  /logged-out           the post_logout_redirect_uri
//	POST /backchannel-logout   the backchannel_logout_uri
//	POST /ciba-ping            the backchannel_client_notification_endpoint
//	GET  /jwks                 the jwks_uri
//
// The prefix is that of all handlers of the application, and part of what is registered at the provider. Another one than before, or one that is no path, panics.
func (a *App) Handler(prefix string) http.Handler {
	prefix = strings.TrimSuffix(prefix, "/")
	if local, ok := web.LocalPath(a.config.BaseURL, prefix+"/"); !ok || local != prefix+"/" || strings.ContainsAny(prefix, "?#%") {
		panic(fmt.Sprintf("rp: prefix %q is not a path such as /auth", prefix))
	}
	if !a.prefix.CompareAndSwap(nil, &prefix) && *a.prefix.Load() != prefix {
		panic(fmt.Sprintf("rp: the handler is at %q already, and cannot be at %q too", *a.prefix.Load(), prefix))
	}
	endpoints := map[string]endpoint{
		"/login":              {a.login, []string{http.MethodGet, http.MethodPost}},
		"/callback":           {a.callback, []string{http.MethodGet, http.MethodPost}},
		"/logout":             {a.logout, []string{http.MethodGet, http.MethodPost}},
		"/logged-out":         {a.loggedOut, []string{http.MethodGet}},
		"/backchannel-logout": {a.backchannelLogout, []string{http.MethodPost}},
		"/ciba-ping":          {a.ping, []string{http.MethodPost}},
		"/jwks":               {a.jwks, []string{http.MethodGet}},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, below := strings.CutPrefix(r.URL.Path, prefix)
		found, ok := endpoints[path]
		switch {
		case !ok || !below:
			a.fail(w, r, ErrNotFound)
		case !slices.Contains(found.methods, r.Method):
			w.Header().Set("Allow", strings.Join(found.methods, ", "))
			a.fail(w, r, ErrMethod)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			found.serve(w, r)
		}
	})
}

// maxBody is the size of what is posted to an endpoint, in bytes.
const maxBody = 256 << 10

type endpoint struct {
	serve   http.HandlerFunc
	methods []string
}

// jwks serves the application's public keys (RFC 7517 §5).
func (a *App) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(a.client.Keys())
}

// Backchannel asks a user over the backchannel (CIBA Core §7.1), and keeps the request until it expires, so that a ping finds it on any node.
func (a *App) Backchannel(ctx context.Context, options client.BackchannelOptions) (*client.BackchannelRequest, error) {
	request, err := a.client.Backchannel(ctx, options)
	if err != nil || !options.Ping {
		return request, err
	}
	data, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := a.sessions.Put(ctx, pingPurpose, request.AuthReqID, data, request.ExpiresAt); err != nil {
		return nil, unavailable(err)
	}
	return request, nil
}

const pingPurpose = "backchannel request"

// ping serves a ping of the provider (CIBA Core §10.2).
func (a *App) ping(w http.ResponseWriter, r *http.Request) {
	request, err := a.pinged(r)
	if err == nil && a.config.Hooks.OnPing != nil {
		if err = a.config.Hooks.OnPing(r.Context(), request); err != nil {
			err = unavailable(err)
		}
	}
	uncached(w)
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	e := newError(r.Context(), err)
	switch {
	case errors.Is(err, ErrMalformed):
		e.Status = http.StatusBadRequest
	case errors.Is(err, errPing):
		e.Status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	default:
		e.Status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	a.report(r, e)
	w.WriteHeader(e.Status)
}

// errPing is a ping that does not bear the token of a request that is known.
var errPing = errors.New("the ping is not for a request of this application")

func (a *App) pinged(r *http.Request) (*client.BackchannelRequest, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errors.Join(ErrMalformed, err)
	}
	id, err := client.ParsePing(body)
	if err != nil {
		return nil, errors.Join(ErrMalformed, err)
	}
	data, err := a.sessions.Get(r.Context(), pingPurpose, id)
	if session.Absent(err) {
		return nil, errors.Join(errPing, err)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	var request client.BackchannelRequest
	if err := json.Unmarshal(data, &request); err != nil {
		return nil, err
	}
	if err := request.VerifyPing(r.Header.Get("Authorization")); err != nil {
		return nil, errors.Join(errPing, err)
	}
	return &request, nil
}
