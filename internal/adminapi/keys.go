package adminapi

import (
	"context"
	"net/http"
	"time"

	"countersign/internal/admin"
	"countersign/internal/admin/fault"
	"countersign/internal/adminapi/access"
	"countersign/internal/ceremony"
	"countersign/store"
)

// Keys makes what changes signing keys in a store: with dry it reports what would be done, and does nothing. The operators are those who
// are named in a transcript.
type Keys func(s store.Store, dry bool, operators []string, report func(ceremony.Event)) *ceremony.Ceremony

func (a *API) keyRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/keys", Roles: anyone(), Serve: a.listKeys},
		{Method: http.MethodGet, Path: "/keys/{kid}", Roles: anyone(), Serve: a.getKey},
		{Method: http.MethodPost, Path: "/keys/rotate", Roles: officer(), MaxBody: maxBody, Serve: a.rotateKey},
		{Method: http.MethodPost, Path: "/keys/{kid}/retire", Roles: officer(), MaxBody: maxBody, Serve: a.retireKey},
	}
}

// agedKey is a key with its age.
type agedKey struct {
	admin.ListedKey
	// Age is in seconds: since the key was activated, or made.
	Age int64 `json:"age_seconds"`
}

func (a *API) aged(k admin.ListedKey) agedKey {
	since := k.CreatedAt
	if !k.ActivatedAt.IsZero() {
		since = k.ActivatedAt
	}
	return agedKey{k, max(0, int64(a.config.Now().Sub(since)/time.Second))}
}

func (a *API) listKeys(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	all, err := admin.ListKeys(r.Context(), a.config.Store)
	if err != nil {
		return err
	}
	aged := make([]agedKey, len(all))
	for i, one := range all {
		aged[i] = a.aged(one)
	}
	return write(w, http.StatusOK, sorted(aged, page, func(k agedKey) string { return k.ID }))
}

// shownKey is a key with its public half and its age.
type shownKey struct {
	admin.ShownKey
	Age int64 `json:"age_seconds"`
}

func (a *API) getKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	found, err := a.key(r)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, shownKey{admin.ShowKey(found), a.aged(admin.ListKey(found)).Age})
}

// key finds the key in the path.
func (a *API) key(r *http.Request) (store.Key, error) {
	kid, err := named(r, "kid")
	if err != nil {
		return store.Key{}, err
	}
	keys, err := a.config.Store.Keys(r.Context())
	if err != nil {
		return store.Key{}, err
	}
	for _, one := range keys {
		if one.ID == kid {
			return one, nil
		}
	}
	return store.Key{}, access.Problemf(http.StatusNotFound, "not_found", "there is no key %q", kid)
}

// rotateBody chooses the key that is replaced.
type rotateBody struct {
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	Now       bool   `json:"now"`
}

func (a *API) rotateKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	var body rotateBody
	if err := read(r, &body); err != nil {
		return err
	}
	return a.keyDeed(w, r, "keys.rotate", body.Algorithm, body, func(ctx context.Context, c *ceremony.Ceremony) error {
		return c.Rotate(ctx, ceremony.Rotation{Algorithm: body.Algorithm, Use: body.Use, Now: body.Now})
	})
}

// retireBody says whether the last key of an algorithm may retire.
type retireBody struct {
	Last bool `json:"last"`
}

func (a *API) retireKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	var body retireBody
	if err := read(r, &body); err != nil {
		return err
	}
	found, err := a.key(r)
	if err != nil {
		return err
	}
	return a.keyDeed(w, r, "keys.retire", found.ID, body, func(ctx context.Context, c *ceremony.Ceremony) error {
		return c.Retire(ctx, found.ID, body.Last)
	})
}

// plannedStep is what an approval of a change of keys is bound to: which keys it is about, and what becomes of them.
type plannedStep struct {
	Step  ceremony.Step `json:"step"`
	Key   string        `json:"kid,omitempty"`
	State string        `json:"state,omitempty"`
	Other string        `json:"other,omitempty"`
	Uses  []string      `json:"uses,omitempty"`
}

// keyDeed has four eyes change keys. What a dry run says is what is approved, and has to be the same when it is carried out.
func (a *API) keyDeed(w http.ResponseWriter, r *http.Request, action, target string, asked any, change func(context.Context, *ceremony.Ceremony) error) error {
	by, operator := a.audited(r.Context()), access.From(r.Context()).Name
	run := func(ctx context.Context, dry bool) (lines []string, steps []plannedStep, err error) {
		keys := a.config.Keys(by.Store, dry, []string{operator}, func(e ceremony.Event) {
			lines = append(lines, e.String())
			steps = append(steps, plannedStep{e.Step, e.Key.ID, e.Key.State, e.Other.ID, e.Uses})
		})
		return lines, steps, change(ctx, keys)
	}
	return a.fourEyes(w, r, deed{
		action: action, target: target, asked: asked,
		plan: func(ctx context.Context) ([]string, any, error) {
			lines, steps, err := run(ctx, true)
			if err != nil {
				return nil, nil, keyProblem(err)
			}
			for _, step := range steps {
				if step.Step == ceremony.WouldWait {
					return nil, nil, fault.Refusedf("%s", lines[0])
				}
			}
			return lines, steps, nil
		},
		do: func(ctx context.Context) ([]string, error) {
			lines, _, err := run(ctx, false)
			return lines, keyProblem(err)
		},
	})
}
