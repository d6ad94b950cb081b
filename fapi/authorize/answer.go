package authorize

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/fapi/authorize/page"
	"countersign/fapi/browser"
	"countersign/fapi/event"
	"countersign/fapi/rar"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// Answer is what a login answers about an interaction that was handed to it: who signed in, what was allowed, or why neither.
type Answer struct {
	// Digest is that of what was read and shown: [HandedOff].Digest.
	Digest string
	// Error is why nobody signed in or nothing was allowed; all else but Digest is then empty.
	Error string
	// Subject is who signed in or, where the login asks for consent alone, who decided.
	Subject string
	// Username is how the user is called here, if this is the first time; the subject when it is empty.
	Username string
	// ACR, AMR and AuthTime are about the sign-in; empty where the login asks for consent alone.
	ACR      string
	AMR      []string
	AuthTime time.Time
	// Claims are about the user (OpenID Connect Core §5.1), a JSON object that replaces what is known; nil changes nothing.
	Claims json.RawMessage
	// Allowed is what was allowed; nil where the login does not ask for consent.
	Allowed *Allowed
}

// Allowed is a part of what was requested.
type Allowed struct {
	Scopes []string
	// Claims are names of those in [Interaction].Claims, or of claims of scopes that are not allowed.
	Claims []string
	// Details are authorization_details, each as it was requested.
	Details []json.RawMessage
}

// decision is an answer that was checked, as it is stored until the browser is back.
type decision struct {
	Digest   string      `json:"request_digest"`
	Error    string      `json:"error,omitempty"`
	Login    bool        `json:"login,omitempty"`
	Consent  bool        `json:"consent,omitempty"`
	Subject  string      `json:"subject,omitempty"`
	ACR      string      `json:"acr,omitempty"`
	AMR      []string    `json:"amr,omitempty"`
	AuthTime time.Time   `json:"auth_time,omitzero"`
	Scopes   []string    `json:"scopes,omitempty"`
	Claims   []string    `json:"claims,omitempty"`
	Details  rar.Details `json:"authorization_details,omitempty"`
}

// of returns the part of a request that was allowed; all of it where that is still to be asked.
func (d decision) of(requested *request.Request, types *rar.Types) (*request.Request, error) {
	if !d.Consent {
		return requested, nil
	}
	return requested.Restrict(types, d.Scopes, d.Claims, d.Details)
}

func (d decision) authentication(epoch int64) browser.Authentication {
	return browser.Authentication{Subject: d.Subject, ACR: d.ACR, AMR: d.AMR, At: d.AuthTime, Epoch: epoch}
}

// refusals are the errors that a login can answer with, and what the client is told.
func refusals() map[string]string {
	return map[string]string{
		oauth.AccessDenied:           "the user denied the request",
		oauth.LoginRequired:          "the user did not sign in",
		oauth.ConsentRequired:        "the user did not decide",
		oauth.InteractionRequired:    "the user has to do something else first",
		oauth.UnmetAuthentication:    "the user cannot sign in with the acr that the request demands",
		oauth.TemporarilyUnavailable: "the user could not sign in at the moment; try again later",
	}
}

// Returned is where the login sends the browser: to an address that works once, and in the browser that began.
type Returned struct {
	To   string
	Left time.Duration
}

// AnswerHandOff records the answer about an interaction. Errors are *[oauth.Error] and change nothing: those of
// [Handler.HandedOff], and 400 for an answer that the interaction does not take.
func (h *Handler) AnswerHandOff(r *http.Request, handle string, answer Answer) (Returned, error) {
	ctx := r.Context()
	open, _, _, err := h.handedOff(r, handle)
	if err != nil {
		return Returned{}, err
	}
	decided, err := open.check(ctx, answer)
	if err != nil {
		return Returned{}, err
	}
	now := h.now()
	secret := random.Secret()
	recorded := store.HandOffAnswer{
		Return: store.DigestOf(secret), ReturnBy: earlier(now.Add(returnLifetime), open.pending.Interaction.ExpiresAt),
	}
	if recorded.Answer, err = json.Marshal(decided); err != nil {
		return Returned{}, err
	}
	if decided.Login {
		name := answer.Username
		if name == "" {
			name = answer.Subject
		}
		recorded.User = &store.User{Subject: answer.Subject, Username: name, Claims: answer.Claims, CreatedAt: now, UpdatedAt: now}
	}
	outcome, part := "allowed", ""
	switch {
	case decided.Error != "":
		outcome = decided.Error
	case !decided.Consent:
		outcome = "signed in"
	default:
		allowed, err := decided.of(&open.request, h.tokens.Details)
		if err != nil {
			return Returned{}, err
		}
		part = page.Granted(allowed, open.consent).DigestFor(allowed.Scopes)
	}
	recorded.Evidence = []store.Evidence{h.evidence.Event(ctx, open.client.ID, event.HandOffAnswered,
		"outcome", outcome, "subject", decided.Subject, "acr", decided.ACR, "amr", strings.Join(decided.AMR, " "),
		"shown", decided.Digest, "request_digest", part, "interaction", digestText(open.pending.Interaction.ID))}
	if err := h.store.AnswerHandOff(ctx, store.DigestOf(handle), recorded); err != nil {
		return Returned{}, handOffError(err)
	}
	return Returned{To: h.addressOf(open.handle) + "/return/" + secret, Left: recorded.ReturnBy.Sub(now)}, nil
}

// check checks an answer against the request and against what the login may say.
func (o *openInteraction) check(ctx context.Context, a Answer) (decision, error) {
	settings := o.handler.handOff
	refuse := func(format string, arguments ...any) (decision, error) {
		return decision{}, oauth.Errorf(oauth.InvalidRequest, format, arguments...)
	}
	if a.Digest != o.digest {
		return refuse("request_digest is not that of this request as it is now; read it again and show it again")
	}
	if a.Error != "" {
		if _, known := refusals()[a.Error]; !known {
			return refuse("error must be one of %s", strings.Join(slices.Sorted(maps.Keys(refusals())), ", "))
		}
		if a.Subject != "" || a.Allowed != nil || a.ACR != "" || a.Claims != nil || a.Username != "" || len(a.AMR) > 0 || !a.AuthTime.IsZero() {
			return refuse("an answer with error has nothing else but request_digest")
		}
		return decision{Digest: a.Digest, Error: a.Error}, nil
	}
	decided := decision{
		Digest: a.Digest, Login: settings.Login, Consent: settings.Consent, Subject: a.Subject, ACR: a.ACR, AMR: a.AMR,
		AuthTime: earlier(a.AuthTime, o.handler.now()).UTC(), // the login's clock may be ahead
	}
	if err := o.checkSubject(a); err != nil {
		return decision{}, err
	}
	switch {
	case settings.Login:
		if err := o.checkSignIn(a); err != nil {
			return decision{}, err
		}
	case o.session == nil || o.session.Subject != a.Subject:
		return refuse("subject is not who signed in")
	case a.ACR != "" || len(a.AMR) > 0 || !a.AuthTime.IsZero() || a.Claims != nil || a.Username != "":
		return refuse("this login asks for consent alone: it has nothing to say about the sign-in")
	}
	if err := decided.allow(settings.Consent, a.Allowed); err != nil {
		return decision{}, err
	}
	satisfied, err := o.satisfies(ctx, decided)
	switch {
	case err != nil && oauth.AsError(err).Code != oauth.ServerError: // more than was asked
		return decision{}, oauth.Errorf(oauth.InvalidRequest, "allowed: %s", oauth.AsError(err).Description).Because(err)
	case err != nil:
		return decision{}, err
	case !satisfied:
		return refuse("the request demands another acr, another user or a more recent sign-in; " +
			"if that cannot be, answer with error unmet_authentication_requirements")
	}
	return decided, nil
}

// allow adds what was allowed.
func (d *decision) allow(asked bool, allowed *Allowed) error {
	switch {
	case !asked && allowed != nil:
		return oauth.Errorf(oauth.InvalidRequest, "this login signs in alone: it has nothing to allow")
	case !asked:
		return nil
	case allowed == nil || len(allowed.Scopes)+len(allowed.Claims)+len(allowed.Details) == 0:
		return oauth.Errorf(oauth.InvalidRequest, "allowed is missing or empty; if nothing is allowed, answer with error access_denied")
	}
	d.Scopes, d.Claims = allowed.Scopes, allowed.Claims
	for _, each := range allowed.Details {
		canonical, err := rar.Canonical(each)
		if err != nil {
			return oauth.Errorf(oauth.InvalidRequest, "allowed.authorization_details holds what is no JSON object").Because(err)
		}
		d.Details = append(d.Details, canonical)
	}
	return nil
}

// unprintable reports whether r is no printable ASCII character, or space.
func unprintable(r rune) bool { return r <= 0x20 || r > 0x7e }

// checkSubject checks the names of the user (OpenID Connect Core §2: at most 255 ASCII characters).
func (o *openInteraction) checkSubject(a Answer) error {
	switch {
	case a.Subject == "" || len(a.Subject) > 255 || strings.ContainsFunc(a.Subject, unprintable):
		return oauth.Errorf(oauth.InvalidRequest, "subject must be 1 to 255 printable ASCII characters without space (OpenID Connect Core §2)")
	case len(a.Username) > 255 || strings.TrimSpace(a.Username) != a.Username:
		return oauth.Errorf(oauth.InvalidRequest, "username must have at most 255 bytes, and no space around it")
	}
	return nil
}

// CheckSignIn checks what the login says at a time about a sign-in: the class, which it must be allowed to claim, the methods and
// the time. Errors are *[oauth.Error].
func (s HandOff) CheckSignIn(acr string, amr []string, at, now time.Time) error {
	refuse := func(format string, arguments ...any) error {
		return oauth.Errorf(oauth.InvalidRequest, format, arguments...)
	}
	known := !slices.ContainsFunc(amr, func(method string) bool {
		return method == "" || len(method) > 32 || strings.ContainsFunc(method, unprintable)
	})
	switch {
	case !slices.Contains(s.ACRValues, acr):
		return refuse("acr must be one that this login may claim: %s", strings.Join(s.ACRValues, ", "))
	case len(amr) == 0 || len(amr) > 10 || !known:
		return refuse("amr must hold 1 to 10 methods (RFC 8176), each of 1 to 32 printable ASCII characters")
	case at.After(now.Add(clockDifference)):
		return refuse("auth_time is in the future")
	case at.Before(now.Add(-maxAuthentication)):
		return refuse("auth_time is missing, or longer ago than %s", maxAuthentication)
	}
	return nil
}

// checkSignIn checks what an answer says about the sign-in.
func (o *openInteraction) checkSignIn(a Answer) error {
	if err := o.handler.handOff.CheckSignIn(a.ACR, a.AMR, a.AuthTime, o.handler.now()); err != nil {
		return err
	}
	again := slices.Contains(o.request.Prompt, "login") || slices.Contains(o.request.Prompt, "select_account")
	if again && a.AuthTime.Before(o.pending.Interaction.CreatedAt.Add(-time.Second)) { // auth_time is in whole seconds
		return oauth.Errorf(oauth.InvalidRequest,
			"auth_time is before this interaction, and the request has prompt=login: the user has to sign in again")
	}
	return nil
}
