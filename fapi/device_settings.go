package fapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/internal/oauth"
	"countersign/internal/passkey"
	"countersign/store"
)

const (
	// freshTime is how long after signing in a person may change what he confirms with.
	freshTime = 10 * time.Minute
	// codeLifetime is how long the one-time code for an application is good.
	codeLifetime = 10 * time.Minute
	// most is how many passkeys, and how many devices, one person may have.
	most = 20
	// maxNameLength bounds the names of passkeys and devices, in characters.
	maxNameLength = 60
)

// CheckDeviceName tells what is wrong with the name of a passkey or a device: it needs 1 to 60 characters, all of which
// can be seen.
func CheckDeviceName(name string) error {
	unseen := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if strings.TrimSpace(name) != name || name == "" || utf8.RuneCountInString(name) > maxNameLength || !utf8.ValidString(name) || strings.ContainsFunc(name, unseen) {
		return errors.New("a name has 1 to 60 characters, all of which can be seen, and no space around it")
	}
	return nil
}

// fillSettings reads what the settings page shows.
func (s *Server) fillSettings(ctx context.Context, visit *DeviceVisit) error {
	subject := visit.session.Subject
	passkeys, err := s.store.Passkeys(ctx, subject)
	if err != nil {
		return err
	}
	for _, p := range passkeys {
		visit.Passkeys = append(visit.Passkeys, PasskeyView{
			ID: base64.RawURLEncoding.EncodeToString(p.ID), Name: p.Name, Synced: p.Synced, CreatedAt: p.CreatedAt, UsedAt: p.UsedAt, ClonedAt: p.ClonedAt,
		})
	}
	devices, err := s.store.Devices(ctx, subject)
	if err != nil {
		return err
	}
	for _, d := range devices {
		visit.Devices = append(visit.Devices, DeviceView{ID: d.ID, Name: d.Name, CreatedAt: d.CreatedAt, UsedAt: d.UsedAt})
	}
	visit.Fresh = s.fresh(visit.session, passkeys)
	if s.passkeys == nil || !visit.Fresh || len(passkeys) >= most {
		return nil
	}
	person, err := s.passkeyPerson(ctx, subject)
	if err != nil {
		return err
	}
	visit.Passkey, err = s.passkeys.BeginRegistration(visit.registerBinding(), person, idsOf(passkeys))
	return err
}

// fresh tells whether a sign-in is good for a change of what a person confirms with: it is recent, and somebody who has
// a passkey has used one. Whoever knows a password must not become the owner of a passkey.
func (s *Server) fresh(session *store.Session, passkeys []store.Passkey) bool {
	return s.now().Sub(session.AuthTime) < freshTime && (len(passkeys) == 0 || session.ACR == PasskeyACR)
}

func (v *DeviceVisit) registerBinding() passkey.Binding {
	return passkey.Binding{
		Purpose: purposeRegister, Browser: v.browser, Subject: v.session.Subject,
		Content: base64.RawURLEncoding.EncodeToString(v.session.ID[:]),
	}
}

// passkeyPerson is what an authenticator shows of a person.
func (s *Server) passkeyPerson(ctx context.Context, subject string) (passkey.User, error) {
	user, err := s.store.User(ctx, subject)
	if err != nil {
		return passkey.User{}, err
	}
	person := passkey.User{Subject: subject, Username: user.Username, DisplayName: user.Username}
	var claims struct {
		Name string `json:"name"`
	}
	if len(user.Claims) > 0 && json.Unmarshal(user.Claims, &claims) == nil && claims.Name != "" {
		person.DisplayName = claims.Name
	}
	return person, nil
}

// changeSettings does what a form of the settings page says. What the person can put right becomes the visit's problem.
func (s *Server) changeSettings(ctx context.Context, visit *DeviceVisit, action string) error {
	form, subject := visit.Form, visit.session.Subject
	visit.Form = nil
	if err := take(s.devices.changes, subject, "too much was changed in a short time"); err != nil {
		return err
	}
	passkeys, err := s.store.Passkeys(ctx, subject)
	if err != nil {
		return err
	}
	if !s.fresh(visit.session, passkeys) {
		visit.Problem = "Sign in again first, with a passkey if you have one: that keeps others from changing what you confirm with."
		return nil
	}
	switch action {
	case "add-passkey":
		return s.addPasskey(ctx, visit, form.Get("name"), form.Get("passkey"), len(passkeys))
	case "remove-passkey":
		id, err := base64.RawURLEncoding.DecodeString(form.Get("id"))
		if err != nil {
			return oauth.Errorf(oauth.InvalidRequest, "the form names no passkey").Because(err)
		}
		if err = s.store.RemovePasskey(ctx, subject, id); err == nil {
			s.note(ctx, "", "passkey_removed", "subject", subject)
		}
		return visit.done(err, "The passkey is removed. Delete it on your device too.")
	case "remove-device":
		err := s.store.RemoveDevice(ctx, subject, form.Get("id"))
		if err == nil {
			s.note(ctx, "", "device_removed", "subject", subject, "device", form.Get("id"))
		}
		return visit.done(err, "The application is removed: it can confirm nothing any more.")
	case "code":
		devices, err := s.store.Devices(ctx, subject)
		if err != nil {
			return err
		}
		if len(devices) >= most {
			visit.Problem = "You have as many applications as one person can. Remove one first."
			return nil
		}
		code, now := enrolmentCode(), s.now()
		err = s.store.PutEnrolment(ctx, store.Enrolment{ID: store.DigestOf(code), Subject: subject, CreatedAt: now, ExpiresAt: now.Add(codeLifetime)})
		if err == nil {
			s.note(ctx, "", "device_code_made", "subject", subject)
		}
		visit.Code, visit.CodeLifetime = code, codeLifetime
		return err
	}
	return oauth.Errorf(oauth.InvalidRequest, "this form was sent without one of its buttons; go back and try again")
}

// done makes a notice of a change; one that was made before is done, too.
func (v *DeviceVisit) done(err error, notice string) error {
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	v.Notice = notice
	return nil
}

// addPasskey stores what the authenticator made.
func (s *Server) addPasskey(ctx context.Context, visit *DeviceVisit, name, answer string, have int) error {
	name = strings.TrimSpace(name)
	if name == "" {
		name = "Passkey"
	}
	if err := CheckDeviceName(name); err != nil {
		visit.Problem = "This name cannot be used: it needs 1 to 60 characters, all of which can be seen."
		return nil
	}
	if s.passkeys == nil || have >= most {
		visit.Problem = "No more passkeys can be added."
		return nil
	}
	person, err := s.passkeyPerson(ctx, visit.session.Subject)
	if err != nil {
		return err
	}
	made, claim, err := s.passkeys.Register(visit.registerBinding(), person, answer)
	if err == nil {
		err = s.store.AddPasskey(ctx, store.Passkey{
			ID: made.ID, Subject: visit.session.Subject, PublicKey: made.PublicKey, AAGUID: made.AAGUID, Name: name,
			Synced: made.Synced, SignCount: made.SignCount, CreatedAt: s.now(),
		}, passkeyUse(claim))
	}
	switch {
	case err == nil:
		s.log.InfoContext(ctx, "passkey added", "subject", visit.session.Subject)
		s.note(ctx, "", "passkey_added", "subject", visit.session.Subject)
		visit.Notice = "The passkey is added. From now on you confirm with it."
		return nil
	case errors.Is(err, passkey.ErrRefused), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrReplayed):
		s.log.InfoContext(ctx, "passkey refused", "correlation_id", eventOf(ctx).correlationID, "cause", err.Error())
		visit.Problem = "The passkey was not accepted. Try again."
		return nil
	}
	return err
}
