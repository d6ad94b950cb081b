package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"countersign/internal/admin"
	"countersign/internal/admin/fault"
	"countersign/internal/adminapi/access"
	"countersign/internal/userimport"
	"countersign/store"
)

// people answers about users.
type people struct{ *API }

func (a people) peopleRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/people", Roles: anyone(), Serve: a.listPeople},
		{Method: http.MethodPost, Path: "/people", Roles: officer(), MaxBody: maxBody, Serve: a.createPerson},
		{Method: http.MethodGet, Path: "/people/{subject}", Roles: anyone(), Serve: a.getPerson},
		{Method: http.MethodPatch, Path: "/people/{subject}", Roles: officer(), MaxBody: maxBody, Serve: a.changePerson},
		{Method: http.MethodPost, Path: "/people/{subject}/disable", Roles: officer(), Serve: a.setPersonDisabled(true)},
		{Method: http.MethodPost, Path: "/people/{subject}/enable", Roles: officer(), Serve: a.setPersonDisabled(false)},
		{Method: http.MethodPost, Path: "/people/{subject}/sign-out", Roles: officer(), MaxBody: maxBody, Serve: a.signOut},
		{Method: http.MethodGet, Path: "/people/{subject}/export", Roles: officer(), Serve: a.exportPerson},
		{Method: http.MethodPost, Path: "/people/{subject}/erase", Roles: officer(), Serve: a.erasePerson},
	}
}

func (a people) listPeople(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor", "username")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	var users []store.User
	if name := values.Get("username"); name != "" {
		user, err := a.config.Store.UserByName(r.Context(), name)
		if err == nil {
			users = append(users, user)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	} else if users, err = a.config.Store.ListUsers(r.Context(), page.after.Key, page.limit+1); err != nil {
		return err
	}
	found, err := admin.ListedUsers(r.Context(), a.config.Store, a.config.Rates, users)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, cut(found, page, byKey(func(u admin.ListedUser) string { return u.Subject })))
}

// personTag is the entity tag of a user of the built-in directory.
func personTag(user store.User) string { return strconv.FormatInt(user.UpdatedAt.UnixMicro(), 10) }

func (a people) getPerson(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	subject, err := named(r, "subject")
	if err != nil {
		return err
	}
	return a.writePerson(r.Context(), w, http.StatusOK, subject)
}

func (a people) writePerson(ctx context.Context, w http.ResponseWriter, status int, subject string) error {
	shown, err := (admin.Users{Admin: a.reading()}).Show(ctx, subject, a.config.Rates)
	if err != nil {
		return err
	}
	user, err := a.config.Store.User(ctx, subject)
	if err == nil {
		etag(w, personTag(user))
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return write(w, status, shown)
}

// personBody is a new user.
type personBody struct {
	Username string          `json:"username"`
	Subject  string          `json:"sub"`
	Password string          `json:"password"`
	Claims   json.RawMessage `json:"claims"`
}

func (a people) createPerson(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	var body personBody
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Claims == nil {
		body.Claims = json.RawMessage("{}")
	}
	if err := checkClaims(body.Claims); err != nil {
		return err
	}
	made, err := a.audited(r.Context()).AddUser(r.Context(), admin.NewUser{Username: body.Username, Subject: body.Subject, Claims: body.Claims},
		func() ([]byte, error) { return []byte(body.Password), nil })
	if err != nil {
		return err
	}
	location(w, "people", made.Subject)
	return a.writePerson(r.Context(), w, http.StatusCreated, made.Subject)
}

// checkClaims demands an object of claims that a user may have.
func checkClaims(raw json.RawMessage) error {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(raw, &claims); err != nil {
		return badRequest("claims is not an object")
	}
	for name, value := range claims {
		if err := userimport.Claim(name, value); err != nil {
			return badRequest("%s", err)
		}
	}
	return nil
}

// pinnedUser is a store in which a user has to be as the caller read them; see [pinned].
type pinnedUser struct {
	store.Store
	subject string
	before  time.Time
}

// PutUser implements store.Users.
func (p pinnedUser) PutUser(ctx context.Context, user store.User, evidence ...store.Evidence) error {
	if user.Subject != p.subject {
		return p.Store.PutUser(ctx, user, evidence...)
	}
	return p.Store.ReplaceUser(ctx, user, p.before, evidence...)
}

// changingPerson is a change of a user of the built-in directory, as the request names them.
func (a people) changingPerson(r *http.Request) (*admin.Admin, store.User, error) {
	subject, err := named(r, "subject")
	if err != nil {
		return nil, store.User{}, err
	}
	if _, err := parameters(r); err != nil {
		return nil, store.User{}, err
	}
	wanted, err := version(r)
	if err != nil {
		return nil, store.User{}, err
	}
	user, err := a.config.Store.User(r.Context(), subject)
	if err != nil {
		return nil, store.User{}, err
	}
	if personTag(user) != wanted {
		return nil, store.User{}, stale("the user was changed since")
	}
	if !user.ErasedAt.IsZero() {
		return nil, store.User{}, fault.Refusedf("%s was erased", subject)
	}
	by := a.audited(r.Context())
	by.Store = pinnedUser{by.Store, subject, user.UpdatedAt}
	return by, user, nil
}

// changeBody changes a user; null removes a claim.
type changeBody struct {
	Username string                     `json:"username"`
	Claims   map[string]json.RawMessage `json:"claims"`
}

func (a people) changePerson(w http.ResponseWriter, r *http.Request) error {
	by, user, err := a.changingPerson(r)
	if err != nil {
		return err
	}
	var body changeBody
	if err := read(r, &body); err != nil {
		return err
	}
	if _, err := (admin.Users{Admin: by}).Change(r.Context(), user.Subject, admin.UserChange{Username: body.Username, Claims: body.Claims}); err != nil {
		return err
	}
	return a.writePerson(r.Context(), w, http.StatusOK, user.Subject)
}

func (a people) setPersonDisabled(disabled bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		by, user, err := a.changingPerson(r)
		if err != nil {
			return err
		}
		if err := by.SetUserDisabled(r.Context(), user.Username, disabled); err != nil {
			return err
		}
		return a.writePerson(r.Context(), w, http.StatusOK, user.Subject)
	}
}

// signOutBody says what ends beside the sessions.
type signOutBody struct {
	Grants  bool `json:"grants"`
	Devices bool `json:"devices"`
}

// signedOut is what ended beside the sessions.
type signedOut struct {
	Grants  int `json:"grants_revoked"`
	Devices int `json:"devices_removed"`
}

func (a people) signOut(w http.ResponseWriter, r *http.Request) error {
	subject, err := named(r, "subject")
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	var body signOutBody
	if err := read(r, &body); err != nil {
		return err
	}
	by := a.audited(r.Context())
	if err := by.SignOut(r.Context(), subject); err != nil {
		return err
	}
	grants, devices, err := by.EndRemaining(r.Context(), subject, body.Grants, body.Devices)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, signedOut{grants, devices})
}

func (a people) exportPerson(w http.ResponseWriter, r *http.Request) error {
	subject, err := named(r, "subject")
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	by := a.audited(r.Context())
	exported, err := by.Export(r.Context(), subject)
	if err != nil {
		return err
	}
	if err := admin.Note(r.Context(), by.Store, "person_exported", "subject", subject); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(exported) // nobody is there to be told of a connection that broke
	return nil
}

// erasure is what four eyes erase: who it was when it was asked for.
type erasure struct {
	Username  string    `json:"username,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	ErasedAt  time.Time `json:"erased_at,omitzero"`
}

func (a people) erasePerson(w http.ResponseWriter, r *http.Request) error {
	subject, err := named(r, "subject")
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	by := a.audited(r.Context())
	return a.fourEyes(w, r, deed{
		action: "people.erase", target: subject, asked: struct{}{},
		plan: func(ctx context.Context) ([]string, any, error) {
			person, err := by.Person(ctx, subject)
			if err != nil {
				return nil, nil, err
			}
			if !person.User.ErasedAt.IsZero() && len(person.Grants)+len(person.Sessions)+len(person.Passkeys)+len(person.Devices) == 0 {
				return nil, nil, fault.Refusedf("%s was erased", subject)
			}
			would := "would revoke all grants of " + subject + " and delete the rest: " + strconv.Itoa(by.ActiveGrants(person.Grants)) + " active grants, " +
				strconv.Itoa(len(person.Sessions)) + " sessions, " + strconv.Itoa(len(person.Passkeys)) + " passkeys, " + strconv.Itoa(len(person.Devices)) + " devices"
			return []string{would}, erasure{person.User.Username, person.User.CreatedAt.UTC(), person.User.ErasedAt.UTC()}, nil
		},
		do: func(ctx context.Context) ([]string, error) {
			return []string{"erased " + subject}, by.Erase(ctx, subject)
		},
	})
}
