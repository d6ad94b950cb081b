package request

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// Managed is what a request asks of a grant that its client names (Grant Management for OAuth 2.0, Implementer's Draft 1, §5.2).
type Managed struct {
	// Action is [profile.GrantCreate], [profile.GrantMerge] or [profile.GrantReplace].
	Action string `json:"action"`
	// GrantID names the grant that is changed; empty where one is created.
	GrantID string `json:"grant_id,omitempty"`
	// Grant is the ID of the version that is changed, by which the store knows it, and Subject its user.
	Grant   string `json:"grant,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Begun is when the first version was made.
	Begun *time.Time `json:"begun,omitempty"`
	// Former is what that version allows.
	Former Part `json:"former,omitzero"`
}

// Part is a part of what a grant allows: scopes, claims about the user that no scope includes, and authorization_details.
type Part struct {
	Scopes  []string    `json:"scopes,omitempty"`
	Claims  []string    `json:"claims,omitempty"`
	Details rar.Details `json:"authorization_details,omitempty"`
}

// Replaced returns the ID of the grant that ends when this request is granted; empty for none. m may be nil.
func (m *Managed) Replaced() string {
	if m == nil {
		return ""
	}
	return m.Grant
}

// Name returns the name of the grant that is made: that of the one that is changed, or a new one, of 256 random bits. It is empty for
// a request without an action, which is nil.
func (m *Managed) Name() string {
	switch {
	case m == nil:
		return ""
	case m.GrantID != "":
		return m.GrantID
	}
	return random.Secret()
}

// OfUser refuses another user than that of the grant that is changed: one who is not known is refused in the same way. m may be nil.
func (m *Managed) OfUser(subject string) error {
	if m.Replaced() != "" && m.Subject != subject {
		return unknownGrant(nil)
	}
	return nil
}

// Since is [tokens.Detail].Begun of the grant that is made. m may be nil.
func (m *Managed) Since() *time.Time {
	if m == nil {
		return nil
	}
	return m.Begun
}

// Evidence are names and values, in turn, for the audit log: how a grant with a name came to be. m may be nil.
func (m *Managed) Evidence(grant *store.Grant) []string {
	if m == nil {
		return nil
	}
	return []string{"grant_id", grant.ManagedID, "grant_management_action", m.Action, "replaces", m.Grant}
}

// ErrGrantChanged is the error for a request whose grant has changed, or ended, since it was made.
func ErrGrantChanged() error {
	return oauth.Errorf(oauth.InvalidGrantID, "the grant has changed or ended since this request was made; make it again")
}

// Changed translates the error of storing a grant: [store.ErrConflict], where it replaces one. m may be nil.
func (m *Managed) Changed(err error) error {
	if errors.Is(err, store.ErrConflict) && m.Replaced() != "" {
		return oauth.AsError(ErrGrantChanged()).Because(err)
	}
	return err
}

// Change is what a request does to a grant, as it is shown to the user.
type Change struct {
	// Replaces reports that what was not asked for again ends.
	Replaces bool
	// Kept is what was allowed before, Added what was not, and Ended what will not be any more.
	Kept, Added, Ended Part
}

// Change compares what a grant of the request would allow with what is allowed; nil for a request that changes no grant.
func (m *Managed) Change(scopes, extra []string, details rar.Details) *Change {
	if m.Replaced() == "" {
		return nil
	}
	change := Change{Replaces: m.Action == profile.GrantReplace}
	change.Kept.Scopes, change.Added.Scopes, change.Ended.Scopes = compare(m.Former.Scopes, scopes, same[string])
	change.Kept.Claims, change.Added.Claims, change.Ended.Claims = compare(m.Former.Claims, extra, same[string])
	change.Kept.Details, change.Added.Details, change.Ended.Details = compare(m.Former.Details, details, sameObject)
	return &change
}

func same[T comparable](a, b T) bool { return a == b }

func sameObject(a, b json.RawMessage) bool { return string(a) == string(b) } // both are canonical

func compare[T any, L ~[]T](former, now L, same func(a, b T) bool) (kept, added, ended L) {
	within := func(list L, one T) bool {
		return slices.ContainsFunc(list, func(each T) bool { return same(each, one) })
	}
	for _, each := range now {
		if within(former, each) {
			kept = append(kept, each)
		} else {
			added = append(added, each)
		}
	}
	for _, each := range former {
		if !within(now, each) {
			ended = append(ended, each)
		}
	}
	return kept, added, ended
}

// Grants has the grants that clients name.
type Grants interface {
	// ManagedGrant is that of [store.Grants].
	ManagedGrant(ctx context.Context, clientID, managedID string) (store.Grant, error)
}

// maxGrantID bounds grant_id, in bytes.
const maxGrantID = 128

// manage reads grant_management_action and grant_id. For merge and replace it demands the user of the grant, and merge adds to the
// request what the grant allows and the client may still have.
func (c *Checker) manage(ctx context.Context, in input, read *Request) error {
	rule := in.client.Profile.GrantManagement
	if len(rule.Actions) == 0 {
		return nil
	}
	action, id := in.form.Get("grant_management_action"), in.form.Get("grant_id")
	switch {
	case action == "" && in.form.Has("grant_id"):
		return oauth.Errorf(oauth.InvalidRequest, "grant_id needs a grant_management_action, merge or replace")
	case action == "" && (rule.Required || in.form.Has("grant_management_action")):
		return oauth.Errorf(oauth.InvalidRequest, "grant_management_action is missing; the profile of this client demands it")
	case action == "":
		return nil
	case !slices.Contains([]string{profile.GrantCreate, profile.GrantMerge, profile.GrantReplace}, action) || !rule.Allows(action):
		return oauth.Errorf(oauth.InvalidRequest, "this grant_management_action is not supported for this client")
	case action == profile.GrantCreate && in.form.Has("grant_id"):
		return oauth.Errorf(oauth.InvalidRequest, "grant_management_action create makes a new grant_id; send none")
	case action == profile.GrantCreate:
		read.Managed = &Managed{Action: action}
		return nil
	case id == "":
		return oauth.Errorf(oauth.InvalidRequest, "grant_id is missing; grant_management_action %s changes the grant that it names", action)
	case read.Consent != "":
		return oauth.Errorf(oauth.InvalidRequest,
			"a request that names a consent changes no grant: its consent has one of its own; send grant_management_action create")
	}
	former, detail, err := c.grantNamed(ctx, in.client, id)
	if err != nil {
		return err
	}
	if detail.Consent != nil {
		return oauth.Errorf(oauth.InvalidRequest, "the grant is that of a consent, which is changed with its consent alone")
	}
	of := read.Subject
	if read.Subject, err = c.tokens.Subjects.For(ctx, in.client, former.Subject); err != nil {
		return err
	}
	if of != "" && of != read.Subject {
		return unknownGrant(nil)
	}
	read.Managed = &Managed{
		Action: action, GrantID: id, Grant: former.ID, Subject: former.Subject, Begun: detail.Begun,
		Former: Part{Scopes: former.Scopes, Claims: extraClaims(former.Scopes, detail.Claims), Details: detail.Details},
	}
	if detail.Begun == nil {
		read.Managed.Begun = &former.CreatedAt
	}
	if action == profile.GrantReplace {
		return nil
	}
	return c.merge(in, read, former.Scopes, detail)
}

// grantNamed finds a grant of a client by its name.
func (c *Checker) grantNamed(ctx context.Context, caller *client.Client, id string) (store.Grant, tokens.Detail, error) {
	if len(id) > maxGrantID {
		return store.Grant{}, tokens.Detail{}, unknownGrant(nil)
	}
	found, err := c.grants.ManagedGrant(ctx, caller.ID, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Grant{}, tokens.Detail{}, unknownGrant(err)
	case err != nil:
		return store.Grant{}, tokens.Detail{}, err
	case found.UserGone:
		return store.Grant{}, tokens.Detail{}, unknownGrant(nil)
	}
	detail, err := tokens.ReadDetail(found)
	return found, detail, err
}

func unknownGrant(cause error) error {
	return oauth.Errorf(oauth.InvalidGrantID, "grant_id is not that of a valid grant of this client and the user").Because(cause)
}

// merge adds to a request what a grant allows: of what is registered for the client and known here, all that the request does not
// ask for itself.
func (c *Checker) merge(in input, read *Request, scopes []string, kept tokens.Detail) error {
	var known []string
	for _, name := range in.client.Allowed(scopes) {
		if c.scopes.Known(name) {
			known = append(known, name)
		}
	}
	for _, name := range read.Scopes {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	types := in.client.Metadata.AuthorizationDetailsTypes
	details := rar.Details{}
	for _, object := range kept.Details {
		raw, err := json.Marshal(rar.Details{object})
		if err != nil {
			return err
		}
		if _, err := c.readDetails(Pushed, string(raw), types); err == nil { // what is over, or not of a type of now, ends
			details = append(details, object)
		}
	}
	for _, object := range read.Details {
		if !slices.ContainsFunc(details, func(each json.RawMessage) bool { return sameObject(each, object) }) {
			details = append(details, object)
		}
	}
	if len(details) > 0 {
		raw, err := json.Marshal(details)
		if err != nil {
			return err
		}
		if details, err = c.readDetails(Pushed, string(raw), types); err != nil { // they may be too many together
			return err
		}
		read.Details = details
	}
	read.Scopes, read.Claims = known, read.Claims.Merge(kept.Claims).Within(in.client.Scopes, in.client.Profile)
	return c.mergeResources(read, kept.Resources)
}

// mergeResources adds the resources of a grant to those of a request. None are this server.
func (c *Checker) mergeResources(read *Request, kept []string) error {
	if len(read.Resources) == 0 && len(kept) == 0 {
		return nil
	}
	var all []string
	for _, name := range slices.Concat(c.scopes.Audience(kept), c.scopes.Audience(read.Resources)) {
		if c.scopes.KnownResource(name) {
			all = append(all, name)
		}
	}
	var err error
	read.Resources, err = c.allowedResources(all, read.Scopes, read.Details)
	return err
}

// managedAgain refuses a stored request whose grant is not the version any more that it was made for.
func (c *Checker) managedAgain(ctx context.Context, caller *client.Client, stored *Request) error {
	m, rule := stored.Managed, caller.Profile.GrantManagement
	switch {
	case m == nil && rule.Required:
		return oauth.Errorf(oauth.InvalidRequest, "grant_management_action is missing; the profile of this client demands it")
	case m == nil:
		return nil
	case !rule.Allows(m.Action):
		return oauth.Errorf(oauth.InvalidRequest, "this client may no longer use grant_management_action %s", m.Action)
	case m.Grant == "":
		return nil
	}
	now, _, err := c.grantNamed(ctx, caller, m.GrantID)
	if err != nil {
		return err
	}
	if now.ID != m.Grant || now.Subject != m.Subject {
		return ErrGrantChanged()
	}
	return nil
}
