package adminconsole

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"countersign/internal/why"
	"countersign/store"
)

// rowsOnPage is how many entries a list has on a page, rowsBeside beside something else, and counted up to which number things are counted.
const rowsOnPage, rowsBeside, counted = 50, 10, 200

// refusedView explains a refused request.
type refusedView struct {
	Title, Who, What string
	// Says is the description of the error, with what is behind it.
	Says, Section, Remedy, Rule string
	// Often says how often it happened lately.
	Often, Same string
	Facts       []fact
	// Others are further refusals with the same number, and Recent those of the client.
	Others, Recent []row
	More           string
}

// refused shows a refused request, and why.
func (c *Console) refused(ctx context.Context, l look) (shown, error) {
	found, err := why.Find(ctx, c.Store, l.form.Get("id"))
	if err != nil {
		return shown{}, err
	}
	if len(found) == 0 {
		return shown{}, errNothing
	}
	at := len(found) - 1 // the last one
	if n, err := number(l.form.Get("n")); err != nil {
		return shown{}, err
	} else if n > 0 {
		if at = int(n) - 1; at >= len(found) {
			return shown{}, errNothing
		}
	}
	r := found[at]
	view := refusedView{Title: r.Title, Says: r.Cause, Section: r.Section, Remedy: r.Remedy, Rule: r.Rule, What: cmp.Or(r.Endpoint, "an unknown address")}
	caller, err := c.clientFact(ctx, r.ClientID)
	if err != nil {
		return shown{}, err
	}
	if r.ClientID != "" {
		view.Who = cmp.Or(caller.Text, r.ClientID)
	}
	view.Facts = []fact{
		{Label: "Number", Code: r.CorrelationID},
		{Label: "When", At: r.At, Hint: ago(r.At, l.now)},
		{Label: "Endpoint", Code: r.Method + " " + r.Endpoint},
		caller,
		{Label: "Answer", Code: fmt.Sprint(r.Status, " ", r.Code)},
		{Label: "Node", Code: r.Node},
		{Label: "Evidence", Text: "Entries of the audit log with this number", Link: link("audit", "about", r.CorrelationID)},
	}
	for i, other := range found {
		if i != at {
			one := refusalRow(other, l.now)
			one.Link = link("refused", "id", r.CorrelationID, "n", strconv.Itoa(i+1))
			view.Others = append(view.Others, one)
		}
	}
	alike, err := c.Store.ListRefusals(ctx, store.RefusalFilter{ClientID: r.ClientID, Endpoint: r.Endpoint, Code: r.Code, Limit: counted})
	if err != nil {
		return shown{}, err
	}
	view.Often, view.Same = often(alike, r, l.now), link("refusals", "client", r.ClientID, "endpoint", r.Endpoint, "rule", r.Rule)
	if r.ClientID != "" {
		recent, _, err := why.List(ctx, c.Store, why.Filter{ClientID: r.ClientID}, 0, rowsBeside+1)
		if err != nil {
			return shown{}, err
		}
		for _, one := range recent {
			if one.CorrelationID != r.CorrelationID && len(view.Recent) < rowsBeside {
				view.Recent = append(view.Recent, refusalRow(one, l.now))
			}
		}
		view.More = link("refusals", "client", r.ClientID)
	}
	return shown{page: "refused", title: "Refused: " + r.Title, part: "refusals", query: r.CorrelationID, body: view}, nil
}

// often says how often a rule refused the same client at the same endpoint in the hour before now.
func often(alike []store.Refusal, r why.Explained, now time.Time) string {
	n, first := 0, r.At
	for _, one := range alike {
		if now.Sub(one.At) <= time.Hour && why.ExplainCause(one.Code, one.Cause).Rule == r.Rule {
			n, first = n+1, one.At
		}
	}
	switch {
	case n == 0:
		return ""
	case n == 1:
		return "It happened once in the last hour."
	case len(alike) == counted:
		return fmt.Sprintf("It happened %d times or more in the last hour.", n)
	}
	return fmt.Sprintf("It happened %d times in the last hour, the first %s.", n, ago(first, now))
}

// refusalRow is a refusal in a list.
func refusalRow(r why.Explained, now time.Time) row {
	return row{
		Name: r.Title, Code: r.CorrelationID, Link: link("refused", "id", r.CorrelationID),
		Facts: []string{cmp.Or(r.ClientID, "no client"), r.Method + " " + r.Endpoint, ago(r.At, now)}, Tag: tag{"off", strconv.Itoa(r.Status)},
	}
}

// refusalsView lists refused requests.
type refusalsView struct {
	Client, Endpoint, Rule string
	Rules                  []string
	Rows                   []row
	// Next leads on, and First to the beginning.
	Next, First string
	// Looked reports that nothing was found in a part of what is kept, and that it goes on.
	Looked bool
}

// refusals lists refused requests, the newest first.
func (c *Console) refusals(ctx context.Context, l look) (shown, error) {
	filter := why.Filter{ClientID: l.form.Get("client"), Endpoint: l.form.Get("endpoint"), Rule: l.form.Get("rule")}
	before, err := number(l.form.Get("before"))
	if err != nil {
		return shown{}, err
	}
	found, next, err := why.List(ctx, c.Store, filter, before, rowsOnPage)
	if err != nil {
		return shown{}, err
	}
	view := refusalsView{Client: filter.ClientID, Endpoint: filter.Endpoint, Rule: filter.Rule, Looked: len(found) == 0 && next != 0}
	for _, one := range found {
		view.Rows = append(view.Rows, refusalRow(one, l.now))
		view.Rules = append(view.Rules, one.Rule)
	}
	slices.Sort(view.Rules)
	view.Rules = slices.Compact(view.Rules)
	same := []string{"client", filter.ClientID, "endpoint", filter.Endpoint, "rule", filter.Rule}
	if next != 0 {
		view.Next = link("refusals", append(same, "before", strconv.FormatInt(next, 10))...)
	}
	if before != 0 {
		view.First = link("refusals", same...)
	}
	return shown{page: "refusals", title: "Refused requests", part: "refusals", body: view}, nil
}
