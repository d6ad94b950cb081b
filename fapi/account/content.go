package account

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

const (
	// pageSize is how many records a page lists, and listSize the most that a list of the API has.
	pageSize, listSize = 20, 100
	// summarised is how many of a client's grants are looked at to say in a line what they allow.
	summarised = 5
)

// Access is what a user gave a client.
type Access struct {
	// ID names it in addresses.
	ID     string
	Client browser.Client
	// Count is the number of grants that are left; of what has ended, that are known.
	Count int
	// UsedAt is zero unless it was used later than an hour after a decision, and EndedAt while anything is left.
	GivenAt, LastAt, UsedAt, ExpiresAt, EndedAt time.Time
	// EndedBy says what became of the last of it, in lists of what has ended; empty where that is not known.
	EndedBy State
	// Grants are some of them, the newest first.
	Grants []Grant
}

// State is what became of a grant.
type State string

// The states.
const (
	Active State = "active"
	// EndedByUser is what its user ended, EndedByClient what the application did, EndedByOperator what the operator or the server
	// did, and EndedOtherwise what ended before that was stored.
	EndedByUser     State = "ended_by_user"
	EndedByClient   State = "ended_by_application"
	EndedByOperator State = "ended_by_operator"
	EndedOtherwise  State = "ended"
	Expired         State = "expired"
)

// Grant is one decision of a user.
type Grant struct {
	ID     string
	State  State
	Scopes []scope.Scope
	Claims []string
	// Resources are the resource servers that it is for, and ResourceNames what people call them.
	Resources, ResourceNames []string
	// Raw are the authorization_details, and Details the same in words; Unreadable reports that there are no words for them any
	// more, because the configuration has changed.
	Raw        rar.Details
	Details    []display.View
	Unreadable bool
	// ConsentID is that of the consent that the client lodged for it, of which Details have the words too; or empty.
	ConsentID string
	ACR       string
	// UsedAt and EndedAt are as in [Access].
	GivenAt, UsedAt, ExpiresAt, EndedAt time.Time
}

// Session is a sign-in in a browser.
type Session struct {
	ID string
	// Browser and System are what the browser says of itself, or empty.
	Browser, System string
	SignedInAt      time.Time
	ExpiresAt       time.Time
	Method          Method
	// Current reports that it is this browser.
	Current bool
}

// Method is how a user signed in.
type Method string

// The methods.
const (
	WithPasskey   Method = "passkey"
	WithPassword  Method = "password"
	WithSomething Method = "other"
)

func methodOf(acr string) Method {
	switch acr {
	case browser.PasskeyACR:
		return WithPasskey
	case browser.PasswordACR:
		return WithPassword
	}
	return WithSomething
}

// Passkey is a passkey of the user.
type Passkey struct {
	// ID is the credential ID in base64url.
	ID, Name string
	Synced   bool
	// Last reports that it is the only one that can be used.
	Last                        bool
	CreatedAt, UsedAt, ClonedAt time.Time
}

// Application is an application that confirms for the user.
type Application struct {
	ID, Name          string
	CreatedAt, UsedAt time.Time
}

// content reads what users have.
type content struct {
	store    Store
	clients  *client.Cache
	scopes   *scope.Catalog
	details  *rar.Types
	consents *consent.Engine
	now      func() time.Time
}

// referenceOf names a client in an address, where its identifier could be no part of one.
func referenceOf(clientID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(clientID))
}

// errMissing is the error for what does not exist, or is another user's.
var errMissing = oauth.Errorf(oauth.InvalidRequest, "this user has nothing of the kind").WithStatus(404)

// clientOf returns the identifier of the client that an address names; errMissing.
func clientOf(reference string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(reference)
	if err != nil || len(raw) == 0 {
		return "", errMissing
	}
	return string(raw), nil
}

// cursor names the place in a list behind a record.
func cursor(at time.Time, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(at.UnixMicro(), 10) + " " + key))
}

// pageAfter reads a cursor; an empty one is the beginning.
func pageAfter(text string, limit int) (store.Page, error) {
	page := store.Page{Limit: limit}
	if text == "" {
		return page, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	micros, key, found := strings.Cut(string(raw), " ")
	number, numberErr := strconv.ParseInt(micros, 10, 64)
	if err != nil || !found || numberErr != nil || number <= 0 || len(key) > 1000 {
		return page, errAfter()
	}
	page.At, page.Key = time.UnixMicro(number).UTC(), key
	return page, nil
}

func errAfter() error {
	return oauth.Errorf(oauth.InvalidRequest, "after must be the next of the list before")
}

// list lists what a user gave, and the cursor of what follows, or "".
func (c content) list(ctx context.Context, subject string, ended bool, page store.Page) (all []Access, next string, err error) {
	given, err := c.store.ListAccess(ctx, store.AccessFilter{Subject: subject, Ended: ended}, store.Page{At: page.At, Key: page.Key, Limit: page.Limit + 1})
	if err != nil {
		return nil, "", err
	}
	if len(given) > page.Limit {
		given = given[:page.Limit]
		next = cursor(given[len(given)-1].Position())
	}
	for _, each := range given {
		shown, err := c.client(ctx, each.ClientID)
		if err != nil {
			return nil, "", err
		}
		all = append(all, Access{
			ID: referenceOf(each.ClientID), Client: shown, Count: each.Grants, GivenAt: each.GivenAt, LastAt: each.LastAt,
			UsedAt: each.UsedAt, ExpiresAt: each.ExpiresAt, EndedAt: each.EndedAt,
		})
	}
	if ended {
		err = c.sayBy(ctx, subject, all)
	}
	return all, next, err
}

// access reads what a user gave a client, with a part of the grants and the cursor of what follows; errMissing.
func (c content) access(ctx context.Context, subject, clientID, language string, page store.Page) (a Access, next string, err error) {
	for _, ended := range []bool{false, true} {
		given, err := c.store.ListAccess(ctx, store.AccessFilter{Subject: subject, ClientID: clientID, Ended: ended}, store.Page{Limit: 1})
		if err != nil {
			return a, "", err
		}
		if len(given) == 0 {
			continue
		}
		found := given[0]
		if a.Client, err = c.client(ctx, clientID); err != nil {
			return a, "", err
		}
		a.ID, a.Count, a.GivenAt, a.LastAt = referenceOf(clientID), found.Grants, found.GivenAt, found.LastAt
		a.UsedAt, a.ExpiresAt, a.EndedAt = found.UsedAt, found.ExpiresAt, found.EndedAt
		a.Grants, next, err = c.grants(ctx, subject, a.Client, language, page)
		return a, next, err
	}
	return a, "", errMissing
}

// grants lists grants of a user to a client, ended ones too.
func (c content) grants(ctx context.Context, subject string, to browser.Client, language string, page store.Page) (all []Grant, next string, err error) {
	given, err := c.store.ListGiven(ctx, subject, to.ID, store.Page{At: page.At, Key: page.Key, Limit: page.Limit + 1})
	if err != nil {
		return nil, "", err
	}
	if len(given) > page.Limit {
		given = given[:page.Limit]
		next = cursor(given[len(given)-1].CreatedAt, given[len(given)-1].ID)
	}
	for _, each := range given {
		grant, err := c.grant(ctx, each, to, language)
		if err != nil {
			return nil, "", err
		}
		all = append(all, grant)
	}
	return all, next, nil
}

func (c content) grant(ctx context.Context, given store.GivenGrant, to browser.Client, language string) (Grant, error) {
	detail, err := tokens.ReadDetail(given.Grant)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{
		ID: given.ID, Scopes: c.scopes.LookupAll(given.Scopes), Claims: claimsBeside(given.Scopes, detail.Claims),
		Resources: detail.Resources, ResourceNames: c.details.Languages().Resources(detail.Resources), ConsentID: detail.Consent.Named(), Raw: detail.Details, ACR: given.ACR, GivenAt: given.CreatedAt, UsedAt: given.UsedAt, ExpiresAt: given.ExpiresAt,
	}
	if g.Details, err = detail.Details.View(c.details.Knowing(detail.Accounts), language, to.Asker()); err != nil {
		g.Details, g.Unreadable = nil, true
	}
	agreed, unreadable, err := c.agreed(ctx, detail.Consent, to, language)
	if err != nil {
		return Grant{}, err
	}
	g.Details, g.Unreadable = append(g.Details, agreed...), g.Unreadable || unreadable
	g.State, g.EndedAt = c.stateOf(given)
	return g, nil
}

// stateOf is what has become of a grant, and when it ended; zero while it is active.
func (c content) stateOf(given store.GivenGrant) (state State, ended time.Time) {
	switch {
	case !given.RevokedAt.IsZero():
		return endedBy(given.RevokedBy), given.RevokedAt
	case !c.now().Before(given.ExpiresAt):
		return Expired, given.ExpiresAt
	}
	return Active, time.Time{}
}

// endedBy is the state of a grant that was revoked by somebody.
func endedBy(by string) State {
	switch by {
	case store.RevokedByUser:
		return EndedByUser
	case store.RevokedByClient:
		return EndedByClient
	case store.RevokedByOperator, store.RevokedByServer:
		return EndedByOperator
	}
	return EndedOtherwise
}

// claimsBeside are the claims that were asked for by name and do not come with a scope.
func claimsBeside(scopes []string, wanted *claims.Request) []string {
	return slices.DeleteFunc(wanted.Names(), func(name string) bool {
		return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(claims.OfScope(s), name) })
	})
}

// client returns what is shown of a client, also of one that is disabled; of one that was deleted, that it has no name.
func (c content) client(ctx context.Context, id string) (browser.Client, error) {
	found, err := c.clients.Get(ctx, id)
	if err == nil {
		return shown(id, found.Metadata), nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return browser.Client{}, err
	}
	record, err := c.store.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return browser.Client{ID: id}, nil
	}
	if err != nil {
		return browser.Client{}, err
	}
	var metadata client.Metadata
	if err := json.Unmarshal(record.Metadata, &metadata); err != nil {
		return browser.Client{ID: id}, nil // what is wrong with it is told when it is used
	}
	return shown(id, metadata), nil
}

func shown(id string, m client.Metadata) browser.Client {
	return browser.Client{
		ID: id, Name: m.ClientName, URI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI, ByLanguage: m.ByLanguage(),
	}
}

// signIns lists the sessions of a user; current is that of this browser, or zero.
func (c content) signIns(ctx context.Context, subject string, current store.Digest, page store.Page) (all []Session, next string, err error) {
	sessions, err := c.store.ListSessions(ctx, subject, store.Page{At: page.At, Key: page.Key, Limit: page.Limit + 1})
	if err != nil {
		return nil, "", err
	}
	if len(sessions) > page.Limit {
		sessions = sessions[:page.Limit]
		last := sessions[len(sessions)-1]
		next = cursor(last.AuthTime, string(last.ID[:]))
	}
	for _, s := range sessions {
		name, system, _ := strings.Cut(s.Agent, "/")
		all = append(all, Session{
			ID: digestText(s.ID), Browser: name, System: system, SignedInAt: s.AuthTime, ExpiresAt: s.ExpiresAt,
			Method: methodOf(s.ACR), Current: s.ID == current,
		})
	}
	return all, next, nil
}

func digestText(d store.Digest) string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// digestOf reads what digestText wrote; errMissing.
func digestOf(text string) (store.Digest, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(store.Digest{}) {
		return store.Digest{}, errMissing
	}
	return store.Digest(raw), nil
}

// passkeys lists those of a user.
func (c content) passkeys(ctx context.Context, subject string) (all []Passkey, err error) {
	passkeys, err := c.store.Passkeys(ctx, subject)
	for _, p := range passkeys {
		all = append(all, Passkey{
			ID: base64.RawURLEncoding.EncodeToString(p.ID), Name: p.Name, Synced: p.Synced, Last: isLast(passkeys, p.ID),
			CreatedAt: p.CreatedAt, UsedAt: p.UsedAt, ClonedAt: p.ClonedAt,
		})
	}
	return all, err
}

// isLast reports whether a passkey is the only one that is not refused as copied.
func isLast(passkeys []store.Passkey, id []byte) bool {
	usable := slices.DeleteFunc(slices.Clone(passkeys), func(p store.Passkey) bool { return !p.ClonedAt.IsZero() })
	return len(usable) == 1 && string(usable[0].ID) == string(id)
}

// applications lists those that confirm for a user.
func (c content) applications(ctx context.Context, subject string) (all []Application, err error) {
	devices, err := c.store.Devices(ctx, subject)
	for _, d := range devices {
		all = append(all, Application{ID: d.ID, Name: d.Name, CreatedAt: d.CreatedAt, UsedAt: d.UsedAt})
	}
	return all, err
}
