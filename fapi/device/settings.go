package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/internal/passkey"
	"countersign/store"
)

const (
	// freshTime is how long after signing in a user may change passkeys and approval apps.
	freshTime = 10 * time.Minute
	// codeLifetime is the lifetime of the one-time code that enrols an approval app.
	codeLifetime = 10 * time.Minute
	// most is how many passkeys, and how many devices, one user may have.
	most = 20
	// maxNameLength bounds the names of passkeys and devices, in characters.
	maxNameLength = 60
)

// settings are the page on which users manage their passkeys and approval apps.
type settings struct {
	store Store
	// requests is nil when backchannel authentication is off, passkeys when those are.
	requests Requests
	passkeys *browser.Passkeys
	evidence *event.Recorder
	limits   *limits
	now      func() time.Time
	log      *slog.Logger
}

// CheckName checks the name of a passkey or a device: 1 to 60 printable characters.
func CheckName(name string) error {
	unseen := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if strings.TrimSpace(name) != name || name == "" || utf8.RuneCountInString(name) > maxNameLength ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unseen) {
		return errors.New("a name has 1 to 60 characters, all of which can be seen, and no space around it")
	}
	return nil
}

// fill reads the content of the settings page.
func (s *settings) fill(ctx context.Context, in *interaction) error {
	subject := in.session.Subject
	passkeys, err := s.store.Passkeys(ctx, subject)
	if err != nil {
		return err
	}
	for _, p := range passkeys {
		in.page.Passkeys = append(in.page.Passkeys, PasskeyView{
			ID: base64.RawURLEncoding.EncodeToString(p.ID), Name: p.Name, Synced: p.Synced,
			CreatedAt: p.CreatedAt, UsedAt: p.UsedAt, ClonedAt: p.ClonedAt,
		})
	}
	devices, err := s.store.Devices(ctx, subject)
	if err != nil {
		return err
	}
	for _, d := range devices {
		in.page.Devices = append(in.page.Devices, DeviceView{
			ID: d.ID, Name: d.Name, ByPasskey: d.ACR == browser.PasskeyACR, Asked: asksAbout(d, passkeys),
			CreatedAt: d.CreatedAt, UsedAt: d.UsedAt,
		})
	}
	if s.requests != nil {
		if in.page.Blocked, err = s.requests.Blocked(ctx, subject); err != nil {
			return err
		}
	}
	in.page.Fresh = s.fresh(in.session, passkeys)
	if s.passkeys == nil || !in.page.Fresh || len(passkeys) >= most {
		return nil
	}
	user, err := s.passkeyUser(ctx, subject)
	if err != nil {
		return err
	}
	in.page.Passkey, err = s.passkeys.Ceremonies.BeginRegistration(in.registerBinding(), user,
		browser.PasskeyIDs(passkeys))
	return err
}

// asksAbout reports whether a user is to decide about an approval app, because it was enrolled before the oldest passkey
// that the user has: it was the password that it came by, or a passkey that is no longer there.
func asksAbout(d store.Device, passkeys []store.Passkey) bool {
	return len(passkeys) > 0 && d.KeptAt.IsZero() && d.CreatedAt.Before(passkeys[0].CreatedAt)
}

// asks reports whether a user is to decide about an approval app.
func (s *settings) asks(ctx context.Context, subject string) (bool, error) {
	passkeys, err := s.store.Passkeys(ctx, subject)
	if err != nil || len(passkeys) == 0 {
		return false, err
	}
	devices, err := s.store.Devices(ctx, subject)
	return slices.ContainsFunc(devices, func(d store.Device) bool { return asksAbout(d, passkeys) }), err
}

// fresh reports whether a session may change passkeys and approval apps: it is recent, and was begun with a passkey
// if the user has one. A stolen password must not suffice to add a passkey.
func (s *settings) fresh(session *store.Session, passkeys []store.Passkey) bool {
	return s.now().Sub(session.AuthTime) < freshTime && (len(passkeys) == 0 || session.ACR == browser.PasskeyACR)
}

func (in *interaction) registerBinding() passkey.Binding {
	return passkey.Binding{
		Purpose: browser.PurposeRegister, Browser: in.browser, Subject: in.session.Subject, Content: sessionID(in.session),
	}
}

// passkeyUser returns the user as authenticators show it.
func (s *settings) passkeyUser(ctx context.Context, subject string) (passkey.User, error) {
	user, err := s.store.User(ctx, subject)
	if err != nil {
		return passkey.User{}, err
	}
	shown := passkey.User{Subject: subject, Username: user.Username, DisplayName: user.Username}
	var claims struct {
		Name string `json:"name"`
	}
	if len(user.Claims) > 0 && json.Unmarshal(user.Claims, &claims) == nil && claims.Name != "" {
		shown.DisplayName = claims.Name
	}
	return shown, nil
}

// change is the action for a form of the settings: do, if the session is fresh. What the user can correct becomes the
// page's problem.
func (s *settings) change(do func(ctx context.Context, in *interaction, have []store.Passkey) error) action {
	return func(_ http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
		ctx, subject := r.Context(), in.session.Subject
		if err := endpoint.Allow(s.limits.changes, subject, tooManyChanges); err != nil {
			return false, err
		}
		passkeys, err := s.store.Passkeys(ctx, subject)
		if err != nil {
			return false, err
		}
		if !s.fresh(in.session, passkeys) {
			in.page.Problem.Code = browser.SignInAgain
			return false, nil
		}
		return false, do(ctx, in, passkeys)
	}
}

// addPasskey adds a new passkey.
func (s *settings) addPasskey(ctx context.Context, in *interaction, have []store.Passkey) error {
	name := strings.TrimSpace(in.form.Get("name"))
	if name == "" {
		name = "Passkey"
	}
	if CheckName(name) != nil {
		in.page.Problem.Code = browser.InvalidName
		return nil
	}
	if s.passkeys == nil || len(have) >= most {
		in.page.Problem.Code = browser.TooManyPasskeys
		return nil
	}
	subject := in.session.Subject
	user, err := s.passkeyUser(ctx, subject)
	if err != nil {
		return err
	}
	err = s.registerPasskey(ctx, in, user, name)
	if errors.Is(err, passkey.ErrRefused) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrReplayed) {
		logPasskeyRefused(ctx, s.log, err)
		in.page.Problem.Code = browser.NewPasskeyRefused
		return nil
	}
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "passkey added", "correlation_id", event.Of(ctx).CorrelationID, "subject", subject)
	s.evidence.SecurityEvent(ctx, "", "passkey_added", "subject", subject)
	in.page.Notice = PasskeyAdded
	return nil
}

// registerPasskey verifies a new passkey and stores it, which consumes the challenge.
func (s *settings) registerPasskey(ctx context.Context, in *interaction, user passkey.User, name string) error {
	made, challenge, err := s.passkeys.Ceremonies.Register(in.registerBinding(), user, in.form.Get("passkey"))
	if err != nil {
		return err
	}
	return s.store.AddPasskey(ctx, store.Passkey{
		ID: made.ID, Subject: user.Subject, PublicKey: made.PublicKey, AAGUID: made.AAGUID, Name: name,
		Synced: made.Synced, SignCount: made.SignCount, CreatedAt: s.now(),
	}, browser.ChallengeOneTime(challenge))
}

// removePasskey removes a passkey; the last one that can be used is asked about first.
func (s *settings) removePasskey(ctx context.Context, in *interaction, have []store.Passkey) error {
	id, err := passkeyOf(in)
	if err != nil {
		return err
	}
	if last := lastPasskey(have, id); last != nil {
		return s.askToRemove(in, *last)
	}
	return s.removed(ctx, in, id)
}

// removeLastPasskey removes the last passkey, once it has been used for that.
func (s *settings) removeLastPasskey(ctx context.Context, in *interaction, have []store.Passkey) error {
	id, err := passkeyOf(in)
	if err != nil {
		return err
	}
	last := lastPasskey(have, id)
	if last == nil { // removed before, or another was added meanwhile: the settings show it
		return nil
	}
	_, err = s.passkeys.Prove(ctx, in.removalBinding(*last), in.form.Get("passkey"))
	if errors.Is(err, browser.ErrPasskeyRefused) {
		logPasskeyRefused(ctx, s.log, err)
		in.page.Problem.Code = browser.NotRemoved
		return s.askToRemove(in, *last)
	}
	if err != nil {
		return err
	}
	return s.removed(ctx, in, id)
}

// passkeyOf returns the passkey that a form names.
func passkeyOf(in *interaction) ([]byte, error) {
	id, err := base64.RawURLEncoding.DecodeString(in.form.Get("id"))
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the form names no passkey").Because(err)
	}
	return id, nil
}

// lastPasskey returns the passkey with an id, if it is the only one that is not refused as copied; else nil.
func lastPasskey(have []store.Passkey, id []byte) *store.Passkey {
	var last *store.Passkey
	for i, one := range have {
		switch {
		case !one.ClonedAt.IsZero():
		case last != nil || !bytes.Equal(one.ID, id):
			return nil
		default:
			last = &have[i]
		}
	}
	return last
}

// askToRemove shows the page that says what is without a passkey.
func (s *settings) askToRemove(in *interaction, last store.Passkey) (err error) {
	in.page.Removing = &PasskeyView{ID: base64.RawURLEncoding.EncodeToString(last.ID), Name: last.Name}
	in.page.Remove, err = s.passkeys.Options(in.removalBinding(last), []store.Passkey{last})
	return err
}

// removalBinding binds a passkey challenge to the removal of that passkey, in this browser and session.
func (in *interaction) removalBinding(p store.Passkey) passkey.Binding {
	return passkey.Binding{
		Purpose: browser.PurposeRemove, Browser: in.browser, Subject: in.session.Subject,
		Content: sessionID(in.session) + " " + base64.RawURLEncoding.EncodeToString(p.ID),
	}
}

func (s *settings) removed(ctx context.Context, in *interaction, id []byte) error {
	subject := in.session.Subject
	in.page.Notice = PasskeyRemoved // also if it was removed before
	switch err := s.store.RemovePasskey(ctx, subject, id); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	s.evidence.SecurityEvent(ctx, "", "passkey_removed", "subject", subject)
	return nil
}

func (s *settings) removeDevice(ctx context.Context, in *interaction, _ []store.Passkey) error {
	subject, id := in.session.Subject, in.form.Get("id")
	in.page.Notice = DeviceRemoved // also if it was removed before
	switch err := s.store.RemoveDevice(ctx, subject, id); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	s.evidence.SecurityEvent(ctx, "", "device_removed", "subject", subject, "device", id)
	return nil
}

// keepDevices is the answer that the user keeps the approval apps that were enrolled before the first passkey.
func (s *settings) keepDevices(ctx context.Context, in *interaction, _ []store.Passkey) error {
	subject := in.session.Subject
	if err := s.store.KeepDevices(ctx, subject); err != nil {
		return err
	}
	s.evidence.SecurityEvent(ctx, "", "devices_kept", "subject", subject)
	in.page.Notice = DevicesKept
	return nil
}

// removeAsked removes the approval apps that the user is asked about.
func (s *settings) removeAsked(ctx context.Context, in *interaction, passkeys []store.Passkey) error {
	subject := in.session.Subject
	devices, err := s.store.Devices(ctx, subject)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if !asksAbout(d, passkeys) {
			continue
		}
		if err := s.store.RemoveDevice(ctx, subject, d.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		s.evidence.SecurityEvent(ctx, "", "device_removed", "subject", subject, "device", d.ID)
	}
	in.page.Notice = DevicesRemoved
	return nil
}

// makeCode makes a one-time code that enrols an approval app.
func (s *settings) makeCode(ctx context.Context, in *interaction, _ []store.Passkey) error {
	subject := in.session.Subject
	devices, err := s.store.Devices(ctx, subject)
	if err != nil {
		return err
	}
	if len(devices) >= most {
		in.page.Problem.Code = browser.TooManyDevices
		return nil
	}
	code, now := rand.Text(), s.now()
	err = s.store.PutEnrolment(ctx, store.Enrolment{
		ID: store.DigestOf(code), Subject: subject, ACR: in.session.ACR, CreatedAt: now, ExpiresAt: now.Add(codeLifetime),
	})
	if err != nil {
		return err
	}
	s.evidence.SecurityEvent(ctx, "", "device_code_made", "subject", subject, "acr", in.session.ACR)
	in.page.Code, in.page.CodeLifetime = code, codeLifetime
	return nil
}
