package adminconsole

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"countersign/internal/why"
	"countersign/store"
)

// hits are those of one kind.
type hits struct {
	Kind string
	Rows []row
}

// row is an entry of a list: a name that leads somewhere, what is said of it, and its state.
type row struct {
	Name, Code, Link string
	Facts            []string
	Tag              tag
}

// foundView lists what was found.
type foundView struct {
	Query string
	Hits  []hits
	Count int
}

// search finds what has an identifier: a refused request by its correlation id, a client, a consent, a grant, a person by subject or
// user name. What is found alone is shown at once.
func (c *Console) search(ctx context.Context, l look) (shown, error) {
	query := strings.TrimSpace(l.form.Get("q"))
	if query == "" {
		return shown{to: "/console/"}, nil
	}
	var all []hits
	for _, kind := range []func(context.Context, look, string) (hits, error){c.findRefused, c.findConsents, c.findGrants, c.findClients, c.findPeople} {
		found, err := kind(ctx, l, query)
		if err != nil {
			return shown{}, err
		}
		all = append(all, found)
	}
	view := foundView{Query: query, Hits: all}
	only := ""
	for _, each := range all {
		view.Count += len(each.Rows)
		for _, one := range each.Rows {
			only = one.Link
		}
	}
	if view.Count == 1 {
		return shown{to: only}, nil
	}
	title := fmt.Sprintf("%d things found", view.Count)
	if view.Count == 0 {
		title = "Nothing found"
	}
	return shown{page: "found", title: title, query: query, body: view}, nil
}

// missing reports that there is no such thing, which is no error of a search.
func missing(err error) (bool, error) {
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return false, err
}

func (c *Console) findRefused(ctx context.Context, l look, id string) (hits, error) {
	found, err := why.Find(ctx, c.Store, id)
	h := hits{Kind: "Refused requests"}
	if len(found) > 0 {
		last := found[len(found)-1]
		h.Rows = []row{{
			Name: last.Title, Code: id, Link: link("refused", "id", id), Facts: []string{last.Endpoint, ago(last.At, l.now)}, Tag: tag{"alarm", "Refused"},
		}}
	}
	return h, err
}

func (c *Console) findConsents(ctx context.Context, l look, id string) (hits, error) {
	h := hits{Kind: "Consents"}
	found, err := c.Store.LodgedConsent(ctx, "", id)
	if none, err := missing(err); none || err != nil {
		return h, err
	}
	h.Rows = []row{c.consentRow(l, found)}
	return h, nil
}

func (c *Console) findGrants(ctx context.Context, l look, id string) (hits, error) {
	h := hits{Kind: "Grants"}
	found, err := c.Store.GrantByID(ctx, id)
	if none, err := missing(err); none || err != nil {
		return h, err
	}
	h.Rows = []row{{
		Code: found.ID, Link: link("grant", "id", found.ID), Facts: []string{found.ClientID, "given " + ago(found.CreatedAt, l.now)}, Tag: grantTag(found.Grant, l.now),
	}}
	return h, nil
}

func (c *Console) findClients(ctx context.Context, _ look, id string) (hits, error) {
	h := hits{Kind: "Clients"}
	found, err := c.Store.Client(ctx, id)
	if none, err := missing(err); none || err != nil {
		return h, err
	}
	h.Rows = []row{{Name: nameOf(found), Code: found.ID, Link: link("client", "id", found.ID), Facts: []string{found.Profile}, Tag: clientTag(found)}}
	return h, nil
}

// findPeople finds a person. That there is one is a person's datum too: who lists it beside others is recorded; a page of the person
// records it itself.
func (c *Console) findPeople(ctx context.Context, l look, text string) (hits, error) {
	h := hits{Kind: "People"}
	var subjects []string
	named, err := c.Store.UserByName(ctx, text)
	none, err := missing(err)
	if err != nil {
		return h, err
	}
	if !none {
		subjects = append(subjects, named.Subject)
	}
	known, err := c.known(ctx, text)
	if err != nil {
		return h, err
	}
	if known && (none || named.Subject != text) {
		subjects = append(subjects, text)
	}
	for _, subject := range subjects {
		// Whoever searched by the name does not learn the subject from the address, if they may not see it.
		by := "id"
		value := subject
		if !l.sees && subject != text {
			by, value = "name", text
		}
		if err := c.looked(ctx, l, subject, "search"); err != nil {
			return h, err
		}
		h.Rows = append(h.Rows, row{Code: l.person(subject), Link: link("person", by, value)})
	}
	return h, nil
}

// known reports whether anything is stored about a subject: a user of a directory elsewhere has no record here.
func (c *Console) known(ctx context.Context, subject string) (bool, error) {
	_, err := c.Store.User(ctx, subject)
	if none, err := missing(err); !none || err != nil {
		return err == nil, err
	}
	for _, ended := range []bool{false, true} {
		given, err := c.Store.ListAccess(ctx, store.AccessFilter{Subject: subject, Ended: ended}, store.Page{Limit: 1})
		if err != nil || len(given) > 0 {
			return len(given) > 0, err
		}
	}
	sessions, err := c.Store.ListSessions(ctx, subject, store.Page{Limit: 1})
	if err != nil || len(sessions) > 0 {
		return len(sessions) > 0, err
	}
	passkeys, err := c.Store.Passkeys(ctx, subject)
	if err != nil || len(passkeys) > 0 {
		return len(passkeys) > 0, err
	}
	devices, err := c.Store.Devices(ctx, subject)
	return len(devices) > 0, err
}
