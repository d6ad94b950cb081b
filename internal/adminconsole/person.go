package adminconsole

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"countersign/fapi/browser"
	"countersign/store"
)

// personView shows a person.
type personView struct {
	Subject string
	Tag     tag
	Facts   []fact
	Claims  []fact
	// Sessions are sign-ins; Access is what the person gave, Ended what has ended, and Consents those that clients lodged.
	Sessions, Access, Ended, Consents, Passkeys, Devices []row
	// MoreSessions and the others lead on.
	MoreSessions, MoreAccess, MoreEnded, MoreConsents string
	// Earlier leads to the beginning of all lists.
	Earlier string
}

// person shows a person: by the subject, or by the user name.
func (c *Console) person(ctx context.Context, l look) (shown, error) {
	subject, by := l.form.Get("id"), []string{"id", l.form.Get("id")}
	if name := l.form.Get("name"); name != "" && subject == "" {
		named, err := c.Store.UserByName(ctx, name)
		if err != nil {
			return shown{}, err
		}
		subject, by = named.Subject, []string{"name", name}
	}
	if known, err := c.known(ctx, subject); err != nil {
		return shown{}, err
	} else if subject == "" || !known {
		return shown{}, errNothing
	}
	if err := c.looked(ctx, l, subject, "person"); err != nil {
		return shown{}, err
	}
	view := personView{Subject: l.person(subject)}
	user, err := c.Store.User(ctx, subject)
	none, err := missing(err)
	if err != nil {
		return shown{}, err
	}
	view.describe(l, subject, user, !none)
	if err := c.personLists(ctx, l, subject, by, &view); err != nil {
		return shown{}, err
	}
	return shown{page: "person", title: "Person " + view.Subject, body: view}, nil
}

// describe shows what is stored of the user.
func (v *personView) describe(l look, subject string, user store.User, here bool) {
	v.Facts = []fact{{Label: "Subject", Code: l.person(subject)}}
	switch {
	case !here:
		v.Tag = tag{"off", "Of another directory"}
	case !user.ErasedAt.IsZero():
		v.Tag = tag{"off", "Erased"}
		v.Facts = append(v.Facts, fact{Label: "Erased", At: user.ErasedAt})
	case user.Disabled:
		v.Tag = tag{"alarm", "Disabled"}
	default:
		v.Tag = tag{"ok", "Enabled"}
	}
	if here && user.ErasedAt.IsZero() {
		password := "None"
		if user.Password != "" {
			password = "There is one"
		}
		v.Facts = append(v.Facts, fact{Label: "User name", Text: l.person(user.Username)}, fact{Label: "Password", Text: password},
			fact{Label: "Added", At: user.CreatedAt}, fact{Label: "Changed", At: user.UpdatedAt})
	}
	if l.sees {
		v.Facts = append(v.Facts, fact{Label: "Evidence", Text: "Entries of the audit log about this person", Link: link("audit", "about", subject)})
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(user.Claims, &claims) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if secret(name) {
			continue
		}
		value := hidden
		if l.sees {
			value = inWords(claims[name])
		}
		v.Claims = append(v.Claims, fact{Label: name, Text: value})
	}
}

// personLists lists what a person has, each list from its own position.
func (c *Console) personLists(ctx context.Context, l look, subject string, by []string, v *personView) error {
	more := func(name, cursor string) string {
		if cursor == "" {
			return ""
		}
		return link("person", append(slices.Clone(by), name, cursor)...) + "#" + name
	}
	page := map[string]store.Page{}
	for _, name := range []string{"sessions", "access", "ended", "consents"} {
		var err error
		if page[name], err = after(l.form.Get(name), rowsBeside, name == "sessions"); err != nil {
			return err
		}
		if l.form.Get(name) != "" {
			v.Earlier = link("person", by...)
		}
	}
	sessions, next, err := c.sessionRows(ctx, l, subject, page["sessions"])
	if err != nil {
		return err
	}
	v.Sessions, v.MoreSessions = sessions, more("sessions", next)
	if v.Access, next, err = c.accessRows(ctx, l, store.AccessFilter{Subject: subject}, page["access"]); err != nil {
		return err
	}
	v.MoreAccess = more("access", next)
	if v.Ended, next, err = c.accessRows(ctx, l, store.AccessFilter{Subject: subject, Ended: true}, page["ended"]); err != nil {
		return err
	}
	v.MoreEnded = more("ended", next)
	if v.Consents, next, err = c.consentRows(ctx, l, store.ConsentFilter{Subject: subject}, page["consents"]); err != nil {
		return err
	}
	v.MoreConsents = more("consents", next)
	return c.authenticators(ctx, l, subject, v)
}

func (c *Console) sessionRows(ctx context.Context, l look, subject string, page store.Page) (rows []row, next string, err error) {
	limit := page.Limit
	page.Limit++
	found, err := c.Store.ListSessions(ctx, subject, page)
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next = cursor(last.AuthTime, string(last.ID[:]))
	}
	for _, s := range found {
		agent := s.Agent
		if agent == "" {
			agent = "A browser"
		}
		how := map[string]string{browser.PasskeyACR: "with a passkey", browser.PasswordACR: "with a password"}[s.ACR]
		if how == "" {
			how = strings.TrimSpace("by " + s.ACR)
		}
		rows = append(rows, row{Name: agent, Facts: []string{"signed in " + how + " " + ago(s.AuthTime, l.now), "ends " + left(s.ExpiresAt, l.now)}, Tag: tag{"ok", "Signed in"}})
	}
	return rows, next, err
}

func (c *Console) accessRows(ctx context.Context, l look, filter store.AccessFilter, page store.Page) (rows []row, next string, err error) {
	limit := page.Limit
	page.Limit++
	found, err := c.Store.ListAccess(ctx, filter, page)
	if len(found) > limit {
		found = found[:limit]
		next = cursor(found[limit-1].Position())
	}
	for _, a := range found {
		one := row{Code: a.ClientID, Link: link("client", "id", a.ClientID)}
		grants := many(a.Grants, "grant", "grants")
		if a.Grants == 0 {
			grants = "no grant, but need not be asked again"
		}
		one.Facts = []string{grants, "last given " + ago(a.LastAt, l.now)}
		if a.EndedAt.IsZero() {
			one.Facts, one.Tag = append(one.Facts, "ends "+left(a.ExpiresAt, l.now)), tag{"ok", "Active"}
		} else {
			one.Facts, one.Tag = append(one.Facts, "ended "+ago(a.EndedAt, l.now)), tag{"off", "Ended"}
		}
		rows = append(rows, one)
	}
	return rows, next, err
}

// authenticators lists what the person signs in and approves with: few by their nature, and rowsOnPage at most.
func (c *Console) authenticators(ctx context.Context, l look, subject string, v *personView) error {
	passkeys, err := c.Store.Passkeys(ctx, subject)
	if err != nil {
		return err
	}
	for _, k := range passkeys[:min(len(passkeys), rowsOnPage)] {
		one := row{Name: l.person(k.Name), Facts: []string{"added " + ago(k.CreatedAt, l.now)}, Tag: tag{"ok", "One device"}}
		if l.sees {
			one.Code = base64.RawURLEncoding.EncodeToString(k.ID)
		}
		if !k.UsedAt.IsZero() {
			one.Facts = append(one.Facts, "used "+ago(k.UsedAt, l.now))
		}
		switch {
		case !k.ClonedAt.IsZero():
			one.Tag = tag{"alarm", "Copied"}
		case k.Synced:
			one.Tag = tag{"ok", "Synced"}
		}
		v.Passkeys = append(v.Passkeys, one)
	}
	devices, err := c.Store.Devices(ctx, subject)
	if err != nil {
		return err
	}
	for _, d := range devices[:min(len(devices), rowsOnPage)] {
		one := row{Name: l.person(d.Name), Facts: []string{"added " + ago(d.CreatedAt, l.now)}, Tag: tag{"ok", "Approves"}}
		if l.sees {
			one.Code = d.ID
		}
		if !d.UsedAt.IsZero() {
			one.Facts = append(one.Facts, "used "+ago(d.UsedAt, l.now))
		}
		v.Devices = append(v.Devices, one)
	}
	return nil
}
