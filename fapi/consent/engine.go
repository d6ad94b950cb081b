package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent/notify"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
	"countersign/store"
)

// Settings are what an operator says about consents.
type Settings struct {
	// Source is a system of the operator's that keeps the consents; nil keeps them in the server's own store.
	Source Source
	// Types are how kinds of consents are shown; see [Config].
	Types []rar.Type
	// Quota bounds what awaits a decision in the server's own store.
	Quota store.ConsentQuota
	// Webhook is where changes of consents are told; nil tells nobody.
	Webhook *notify.Webhook
}

// Config is the configuration of an [Engine]. All fields are required.
type Config struct {
	Source Source
	// Types are how kinds of consents are shown: their Type is the kind, or the member type of [Consent].Shown.
	Types     []rar.Type
	Languages *display.Languages
	// Notify says that changes of consents that are kept elsewhere are told to the operator.
	Notify   bool
	Users    *claims.Users
	Evidence *event.Recorder
	Now      func() time.Time
	Log      *slog.Logger
}

// Engine holds requests and grants to the consents that they are for. Make one with [New].
type Engine struct {
	source   Source
	shown    *rar.Types
	notify   bool
	users    *claims.Users
	evidence *event.Recorder
	now      func() time.Time
	log      *slog.Logger
}

// New makes an engine. The error is of types that cannot be shown.
func New(c Config) (*Engine, error) {
	shown, err := rar.NewTypes(c.Types, c.Languages)
	if err != nil {
		return nil, err
	}
	return &Engine{source: c.Source, shown: shown, notify: c.Notify, users: c.Users, evidence: c.Evidence, now: c.Now, log: c.Log}, nil
}

// Source is where the consents are.
func (e *Engine) Source() Source { return e.source }

// retry is the Retry-After when the source does not answer and does not say when it may.
const retry = 2 * time.Second

// RetryAfter is when to ask a source again that gave an error.
func RetryAfter(err error) time.Duration {
	if timed, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err); ok {
		return timed.RetryAfter()
	}
	return retry
}

// refusal is the error for a client of an error of the source, which logs itself that it does not answer.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequest, "this client has no such consent").Because(err)
	case errors.Is(err, ErrState):
		return oauth.Errorf(oauth.InvalidRequest, "the consent cannot be authorised: it was before, is rejected, has ended, or is another user's").Because(err)
	case errors.Is(err, ErrUnavailable):
		busy := oauth.Errorf(oauth.TemporarilyUnavailable, "consents cannot be read at the moment; nothing was granted, try again shortly").Because(err)
		busy.RetryAfter = RetryAfter(err)
		return busy
	}
	return err
}

// Check reads the consent that a request with these scopes names, and refuses one that may not be authorised: that is another client's,
// has ended, was consumed, or does not cover the scopes. The consent is nil when id is empty. Errors are *[oauth.Error], or internal.
func (e *Engine) Check(ctx context.Context, caller *client.Client, id string, scopes []string) (*Consent, error) {
	if id == "" {
		return nil, nil
	}
	c, err := e.source.Read(ctx, caller.ID, id)
	if err == nil && (c.ID != id || c.ClientID != caller.ID) { // a source that answers about another one
		err = ErrNotFound
	}
	if err != nil {
		return nil, refusal(err)
	}
	if once(caller.Profile, c) {
		c.Once = true
	}
	switch {
	case c.Status == store.ConsentExpired:
		return nil, oauth.Errorf(oauth.InvalidRequest, "the consent has expired; create another one")
	case c.Status == store.ConsentAuthorised && c.Once:
		return nil, oauth.Errorf(oauth.InvalidRequest, "the consent was authorised before, and is for one authorization; create another one")
	case c.Status != store.ConsentAwaiting && c.Status != store.ConsentAuthorised:
		return nil, oauth.Errorf(oauth.InvalidRequest, "the consent is %s and cannot be authorised; create another one", c.Status)
	}
	for _, name := range scopes {
		if !covers(caller.Profile, c, name) {
			return nil, oauth.Errorf(oauth.InvalidScope, "the consent does not cover the scope %q", name)
		}
	}
	return &c, nil
}

// once reports whether one authorization consumes a consent.
func once(p profile.Profile, c Consent) bool {
	return c.Once || slices.Contains(p.Consent.Single, c.Kind)
}

// covers reports whether a consent is for a scope: for each that it lists, for those about the user and the grant itself, and for the
// scope by which it is named.
func covers(p profile.Profile, c Consent, name string) bool {
	if len(c.Scopes) == 0 || slices.Contains(c.Scopes, name) || name == "offline_access" || claims.AboutUser(name) {
		return true
	}
	return slices.ContainsFunc(p.Scopes, func(rule profile.ScopeRule) bool { return rule.Consent && name == rule.Name+":"+c.ID })
}

// Bind makes an interaction or a backchannel request the one that may decide about a consent. subject is who is asked, or empty.
// Errors are *[oauth.Error], or internal.
func (e *Engine) Bind(ctx context.Context, c *Consent, to store.Digest, subject string) error {
	bound, err := e.source.Bind(ctx, Binding{ID: c.ID, ClientID: c.ClientID, To: to, Subject: subject})
	if err != nil {
		return refusal(err)
	}
	bound.Once = bound.Once || c.Once
	*c = bound
	return nil
}

// BoundTo reports whether a request may decide about a consent: none has taken its place.
func BoundTo(c *Consent, to store.Digest) bool { return c == nil || c.Bound.Zero() || c.Bound == to }

// Admit refuses a user for whom a consent is not: who has other values of the claims that are its hints, or who is not the one who
// authorised it before. Errors are *[oauth.Error] with access_denied, or internal.
func (e *Engine) Admit(ctx context.Context, caller *client.Client, c *Consent, subject string) error {
	if c == nil {
		return nil
	}
	if c.Status == store.ConsentAuthorised && c.Subject != "" && c.Subject != subject {
		return e.foreign(ctx, c, subject, "subject")
	}
	if len(c.Hints) == 0 {
		return nil
	}
	names := make([]string, 0, len(c.Hints))
	for name := range c.Hints {
		names = append(names, name)
	}
	slices.Sort(names)
	known, err := e.users.Known(ctx, claims.Question{
		Subject: subject, ClientID: caller.ID, Purpose: claims.ForTokens, Names: names, Essential: names,
	})
	if errors.Is(err, claims.ErrUserGone) {
		return oauth.Errorf(oauth.AccessDenied, "the user may not sign in any more").Because(err)
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if !matches(known[name], c.Hints[name]) {
			return e.foreign(ctx, c, subject, name)
		}
	}
	return nil
}

// foreign refuses a user for whom a consent is not. The value that was expected is told to nobody.
func (e *Engine) foreign(ctx context.Context, c *Consent, subject, why string) error {
	e.evidence.SecurityEvent(ctx, c.ClientID, event.ConsentOfAnother, "consent", c.ID, "subject", subject, "hint", why)
	return oauth.Errorf(oauth.AccessDenied, "the consent is for another user than the one who signed in")
}

// matches reports whether a claim has a value, or is a list with it.
func matches(claim json.RawMessage, value string) bool {
	var text string
	if json.Unmarshal(claim, &text) == nil {
		return text == value && value != ""
	}
	var list []string
	return json.Unmarshal(claim, &list) == nil && value != "" && slices.Contains(list, value)
}

// View puts a consent into the words of a language, for asker: all of what it has to be shown. One that cannot be shown, or leaves a
// choice, is an error: nobody allows what is not seen.
func (e *Engine) View(c *Consent, language string, asker display.Asker) ([]display.View, error) {
	if c == nil {
		return nil, nil
	}
	if len(c.Shown) == 0 {
		return nil, fmt.Errorf("consent: nothing of the consent %s can be shown", c.ID)
	}
	views, err := rar.Details{c.Shown}.View(e.shown, language, asker)
	if err != nil {
		return nil, fmt.Errorf("consent: the consent %s cannot be shown: %w", c.ID, err)
	}
	if slices.ContainsFunc(views, display.View.HasChoice) {
		return nil, fmt.Errorf("consent: the kind %s leaves a choice, which a consent has not", c.Kind)
	}
	return views, nil
}

// Describe refuses a consent that cannot be shown: its client is told when it lodges it, and not its user.
func (e *Engine) Describe(c *Consent) error {
	_, err := e.View(c, e.shown.Languages().Match(), display.Asker{})
	return err
}

// Life is how long a grant with a consent lasts: whole, and not longer than the consent; or, where the profile says so, as long as the
// consent. A length stays one: as a moment it would be another each time that a page is shown.
func Life(p profile.Profile, c *Consent, whole time.Duration) display.Life {
	life := display.Life{For: whole}
	if c == nil {
		return life
	}
	own := display.Life{For: c.Lasts, Until: c.EndsAt}
	if p.RefreshUntilConsentEnds && own != (display.Life{}) {
		return own
	}
	return life.Shorter(own)
}

// Decided is what a decision of a user does to a consent. The zero value does nothing.
type Decided struct {
	// Lodged is for the transaction that stores the decision, with the Evidence of it.
	Lodged   *store.ConsentDecision
	Evidence []store.Evidence

	undo func()
}

// Undo has to be called when the decision was not stored.
func (d Decided) Undo() {
	if d.undo != nil {
		d.undo()
	}
}

// Decide says what a decision of a user does to a consent: with the grant that is about to be made, or without one where the user
// denied. It is nothing without a consent. Errors are *[oauth.Error], or internal; where the user denied there are none: that is not
// kept from them.
func (e *Engine) Decide(ctx context.Context, c *Consent, bound store.Digest, subject string, grant *store.Grant) (Decided, error) {
	if c == nil {
		return Decided{}, nil
	}
	decision := Decision{Consent: *c, Bound: bound, Subject: subject, At: e.now()}
	if grant != nil {
		decision.GrantID, decision.EndsAt = grant.ID, grant.ExpiresAt
	}
	lodged, err := e.source.Decide(ctx, decision)
	if err != nil && grant == nil {
		e.log.WarnContext(ctx, "consent source not told of a denial", "correlation_id", event.Of(ctx).CorrelationID, "client_id", c.ClientID,
			"error", err.Error())
		return Decided{}, nil
	}
	if err != nil {
		return Decided{}, refusal(err)
	}
	if lodged != nil && lodged.Elsewhere != nil {
		lodged.Elsewhere.Notify = e.notify
	}
	return Decided{
		Lodged: lodged, Evidence: []store.Evidence{e.decided(ctx, c, subject, grant)},
		undo: func() { e.source.Undo(context.WithoutCancel(ctx), decision) },
	}, nil
}

// decided is the evidence of a decision about a consent.
func (e *Engine) decided(ctx context.Context, c *Consent, subject string, grant *store.Grant) store.Evidence {
	if grant == nil {
		return e.evidence.Event(ctx, c.ClientID, event.ConsentRejected, "consent", c.ID, "kind", c.Kind, "subject", subject)
	}
	return e.evidence.Event(ctx, c.ClientID, event.ConsentAuthorised,
		"consent", c.ID, "kind", c.Kind, "subject", subject, "grant", grant.ID, "replaced_grant", c.GrantID)
}

// Conflict is the error for a client of a decision that the store refused because of its consent.
func Conflict(err error) error {
	return oauth.Errorf(oauth.InvalidRequest, "the consent has changed since it was shown, or was decided elsewhere; start again").Because(err)
}

// Live refuses a consent by which a grant was made and that has ended since, before tokens are issued. The error is
// [store.ErrRevoked] then, an *[oauth.Error] when the source does not answer, or internal.
func (e *Engine) Live(ctx context.Context, clientID, id, grantID string) error {
	c, err := e.source.Read(ctx, clientID, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("consent: %s is not known any more: %w", id, store.ErrRevoked)
	case err != nil:
		return refusal(err)
	case c.ID != id || c.ClientID != clientID:
		return fmt.Errorf("consent: the source answered about another consent than %s: %w", id, store.ErrRevoked)
	case c.Status != store.ConsentAuthorised && c.Status != store.ConsentConsumed:
		return fmt.Errorf("consent: %s is %s: %w", id, c.Status, store.ErrRevoked)
	case c.GrantID != "" && c.GrantID != grantID:
		return fmt.Errorf("consent: %s was authorised again, by another grant: %w", id, store.ErrRevoked)
	}
	return nil
}

// End ends a consent with its grant and tokens, with evidence of who did it. Errors are those of [Source.Revoke].
func (e *Engine) End(ctx context.Context, r Revocation) (Consent, error) {
	r.Evidence = append(r.Evidence, e.evidence.Event(ctx, r.ClientID, event.ConsentEnded, "consent", r.ID, "by", r.By, "subject", r.Subject, "reason", r.Reason))
	return e.source.Revoke(ctx, r)
}
