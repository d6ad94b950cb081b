package adminconsole

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/tokens"
	"countersign/store"
)

// consentTag is the state of a lodged consent.
func consentTag(c store.LodgedConsent) tag {
	switch c.Status {
	case store.ConsentAwaiting:
		return tag{"warn", "Awaits a decision"}
	case store.ConsentAuthorised:
		return tag{"ok", "Authorised"}
	case store.ConsentRejected:
		return tag{"off", "Rejected"}
	case store.ConsentConsumed:
		return tag{"off", "Used"}
	case store.ConsentRevoked:
		return tag{"off", "Revoked"}
	}
	return tag{"off", "Expired"}
}

// grantTag is the state of a grant.
func grantTag(g store.Grant, now time.Time) tag {
	switch {
	case !g.RevokedAt.IsZero():
		return tag{"off", "Revoked"}
	case !now.Before(g.ExpiresAt):
		return tag{"off", "Expired"}
	}
	return tag{"ok", "Valid"}
}

// consentRow is a lodged consent in a list, which says nothing of whom it is about.
func (c *Console) consentRow(l look, one store.LodgedConsent) row {
	one = one.At(l.now)
	return row{
		Code: one.ID, Link: link("consent", "id", one.ID), Facts: []string{one.Kind, one.ClientID, "lodged " + ago(one.CreatedAt, l.now)}, Tag: consentTag(one),
	}
}

// consentRows lists lodged consents, and from where the list goes on.
func (c *Console) consentRows(ctx context.Context, l look, filter store.ConsentFilter, page store.Page) (rows []row, next string, err error) {
	limit := page.Limit
	page.Limit++
	found, err := c.Store.ListLodgedConsents(ctx, filter, page)
	if len(found) > limit {
		found = found[:limit]
		next = cursor(found[limit-1].CreatedAt, found[limit-1].ID)
	}
	for _, one := range found {
		rows = append(rows, c.consentRow(l, one))
	}
	return rows, next, err
}

// step is something that happened, or will.
type step struct {
	What string
	At   time.Time
	Tone string
	// Hint is why, or by whom.
	Hint string
}

// said is what was allowed, in words of people.
type said struct {
	Heading string
	Groups  []saidGroup
}

// saidGroup is what is read together.
type saidGroup struct {
	Label string
	Facts []fact
	Items []fact
}

// consentView shows a lodged consent, or a grant.
type consentView struct {
	// Kind is "consent" or "grant".
	Kind, ID string
	Tag      tag
	Facts    []fact
	Said     []said
	// Unsaid says why there are no words.
	Unsaid  string
	Scopes  []string
	Claims  []string
	History []step
}

// consent shows a consent that a client lodged.
func (c *Console) consent(ctx context.Context, l look) (shown, error) {
	found, err := c.Store.LodgedConsent(ctx, "", l.form.Get("id"))
	if err != nil {
		return shown{}, err
	}
	found = found.At(l.now)
	if err := c.looked(ctx, l, found.Subject, "consent"); err != nil {
		return shown{}, err
	}
	caller, err := c.clientFact(ctx, found.ClientID)
	if err != nil {
		return shown{}, err
	}
	view := consentView{Kind: "consent", ID: found.ID, Tag: consentTag(found), Scopes: found.Scopes}
	who := l.subject(found.Subject)
	if found.Subject == "" {
		who.Text = "Nobody has authorised it"
	}
	view.Facts = []fact{{Label: "Number", Code: found.ID}, {Label: "Kind", Code: found.Kind}, caller, who}
	if found.Organisation != "" {
		view.Facts = append(view.Facts, fact{Label: "Organisation", Code: found.Organisation})
	}
	if len(found.Permissions) > 0 {
		view.Facts = append(view.Facts, fact{Label: "Permissions", Code: strings.Join(found.Permissions, " ")})
	}
	if len(found.Hints) > 0 {
		view.Facts = append(view.Facts, fact{Label: "For", Text: "One person whom the client names", Hint: fmt.Sprintf("%d claims have to fit; they are not shown", len(found.Hints))})
	}
	if found.GrantID != "" {
		view.Facts = append(view.Facts, fact{Label: "Grant", Code: found.GrantID, Link: link("grant", "id", found.GrantID)})
	}
	view.Facts = append(view.Facts, fact{Label: "Evidence", Text: "Entries of the audit log about it", Link: link("audit", "about", found.ID)})
	if view.Said, view.Unsaid = c.inPeoplesWords(l, c.Consents, detailsOf(found.Shown), nil, caller.Text); found.Elsewhere {
		view.Unsaid = "It is kept in another system: here is only what ends its grant with it."
	}
	if view.History, err = c.consentHistory(ctx, found); err != nil {
		return shown{}, err
	}
	return shown{page: "consent", title: "Consent " + found.ID, query: found.ID, body: view}, nil
}

func detailsOf(object json.RawMessage) rar.Details {
	if len(object) == 0 {
		return nil
	}
	return rar.Details{object}
}

// consentHistory is what became of a lodged consent.
func (c *Console) consentHistory(ctx context.Context, one store.LodgedConsent) ([]step, error) {
	steps := []step{{What: "Lodged by the client", At: one.CreatedAt, Tone: "ok"}}
	if one.GrantID != "" {
		g, err := c.Store.GrantByID(ctx, one.GrantID)
		none, err := missing(err)
		if err != nil {
			return nil, err
		}
		if !none {
			steps = append(steps, step{What: "Allowed by the person", At: g.CreatedAt, Tone: "ok"})
			if !g.UsedAt.IsZero() && g.UsedAt.After(g.CreatedAt) {
				steps = append(steps, step{What: "Last used, to an hour", At: g.UsedAt, Tone: "ok"})
			}
		}
	}
	by := map[string]string{
		store.RevokedByUser: "by the person", store.EndedByClient: "by the client", store.EndedByBank: "by the bank", store.EndedByTime: "by itself",
	}[one.EndedBy]
	switch one.Status {
	case store.ConsentAwaiting:
		return append(steps, step{What: "Ends if nobody decides", At: one.ExpiresAt, Tone: "off"}), nil
	case store.ConsentAuthorised:
		if !one.EndsAt.IsZero() {
			steps = append(steps, step{What: "Ends by itself", At: one.EndsAt, Tone: "off"})
		}
		return steps, nil
	}
	return append(steps, step{What: strings.TrimSpace(consentTag(one).Text + " " + by), At: one.ChangedAt, Tone: "alarm", Hint: one.Reason}), nil
}

// grant shows a grant.
func (c *Console) grant(ctx context.Context, l look) (shown, error) {
	found, err := c.Store.GrantByID(ctx, l.form.Get("id"))
	if err != nil {
		return shown{}, err
	}
	if err := c.looked(ctx, l, found.Subject, "grant"); err != nil {
		return shown{}, err
	}
	caller, err := c.clientFact(ctx, found.ClientID)
	if err != nil {
		return shown{}, err
	}
	view := consentView{Kind: "grant", ID: found.ID, Tag: grantTag(found.Grant, l.now), Scopes: found.Scopes, History: grantHistory(found)}
	who := l.subject(found.Subject)
	if found.Subject == "" {
		who.Text = "The client itself"
	}
	view.Facts = []fact{{Label: "Number", Code: found.ID}, caller, who}
	if found.ManagedID != "" {
		view.Facts = append(view.Facts, fact{Label: "grant_id", Code: found.ManagedID})
	}
	if found.ACR != "" {
		view.Facts = append(view.Facts, fact{Label: "Signed in by", Code: found.ACR, At: found.AuthTime})
	}
	detail, err := tokens.ReadDetail(found.Grant)
	if err != nil {
		view.Unsaid = "What was allowed in detail cannot be read."
	} else {
		if id := detail.Consent.Named(); id != "" {
			view.Facts = append(view.Facts, fact{Label: "Consent", Code: id, Link: link("consent", "id", id)})
		}
		if len(detail.Resources) > 0 {
			view.Facts = append(view.Facts, fact{Label: "For", Code: strings.Join(detail.Resources, " ")})
		}
		view.Claims = detail.Claims.Names()
		view.Said, view.Unsaid = c.inPeoplesWords(l, c.Details, detail.Details, detail.Accounts, caller.Text)
	}
	view.Facts = append(view.Facts, fact{Label: "Evidence", Text: "Entries of the audit log about it", Link: link("audit", "about", found.ID)})
	return shown{page: "consent", title: "Grant " + found.ID, query: found.ID, body: view}, nil
}

// grantHistory is what became of a grant.
func grantHistory(g store.GivenGrant) []step {
	given := "Given by the person"
	if g.Subject == "" {
		given = "Issued to the client"
	}
	steps := []step{{What: given, At: g.CreatedAt, Tone: "ok"}}
	if !g.UsedAt.IsZero() {
		steps = append(steps, step{What: "Last used, to an hour", At: g.UsedAt, Tone: "ok"})
	}
	if g.RevokedAt.IsZero() {
		return append(steps, step{What: "Ends by itself", At: g.ExpiresAt, Tone: "off"})
	}
	by := map[string]string{
		store.RevokedByUser: "Ended by the person", store.RevokedByClient: "Ended by the client", store.RevokedByOperator: "Ended by the bank",
		store.RevokedByServer: "Ended by the server: its code came twice", store.RevokedByReplacement: "Replaced by another grant",
	}[g.RevokedBy]
	return append(steps, step{What: cmp.Or(by, "Ended"), At: g.RevokedAt, Tone: "alarm"})
}

// inPeoplesWords puts what was allowed into the words that its user read. Values are shown to those alone who see data of persons, and
// of accounts their ends.
func (c *Console) inPeoplesWords(l look, types *rar.Types, details rar.Details, accounts []display.Offered, client string) (all []said, unsaid string) {
	if len(details) == 0 {
		return nil, ""
	}
	if types == nil {
		return nil, "The configuration has no words for it."
	}
	views, err := details.View(types.Knowing(accounts), "en", display.Asker{Name: client})
	if err != nil {
		return nil, "The configuration has no words for it any more."
	}
	for _, view := range views {
		one := said{Heading: view.Heading.String()}
		if !l.sees {
			one.Heading = view.Type
		}
		for _, group := range view.Groups {
			shown := saidGroup{Label: group.Label}
			for _, line := range group.Lines {
				switch {
				case len(line.Items) > 0 && line.Label == group.Label: // its name is not said twice
					for _, item := range line.Items {
						shown.Items = append(shown.Items, l.item(line, item))
					}
				default:
					shown.Facts = append(shown.Facts, fact{Label: line.Label, Text: l.value(line)})
				}
			}
			one.Groups = append(one.Groups, shown)
		}
		all = append(all, one)
	}
	return all, ""
}

// value shows the value of a line. One of a list that the bank itself has written is nobody's.
func (l look) value(line display.Line) string {
	switch {
	case !l.sees && line.Format != display.Choice:
		return hidden
	case len(line.Items) == 0:
		return safe(line, line.Value)
	}
	var all []string
	for _, item := range line.Items {
		all = append(all, safe(line, item.Label))
	}
	return strings.Join(all, "; ")
}

// item shows an entry of a list.
func (l look) item(line display.Line, item display.Item) fact {
	if !l.sees && line.Format != display.Choice {
		return fact{Text: hidden}
	}
	return fact{Text: safe(line, item.Label), Hint: safe(line, item.Detail)}
}

// safe shows a text of a line: of an account, its end.
func safe(line display.Line, text string) string {
	isAccount := line.Format == display.IBAN || line.Format == display.AccountID || line.Role == display.PayeeAccount || line.Role == display.Account
	if isAccount && line.Format != display.Ending && text != "" {
		return ending(text)
	}
	return text
}
