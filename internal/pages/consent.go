package pages

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/internal/words"
)

// clientView is what is shown of a client. Its texts are untrusted: sanitised, truncated and set apart.
type clientView struct {
	Name string
	// Host is that of its website, or empty.
	Host string
	// Letter is shown instead of the logo, which would be loaded from another host.
	Letter string
	// URI, PolicyURI and TermsURI are https or empty.
	URI, PolicyURI, TermsURI string
}

// viewClient shows a client in a language: its texts and addresses may differ by language (RFC 7591 §2.2).
func viewClient(l *words.Language, client browser.Client) clientView {
	in := func(member, standard string) string {
		if text := l.Pick(client.ByLanguage[member]); text != "" {
			return text
		}
		return standard
	}
	view := clientView{
		Name: plain(in("client_name", client.Name), nameLimit), URI: https(in("client_uri", client.URI)),
		PolicyURI: https(in("policy_uri", client.PolicyURI)), TermsURI: https(in("tos_uri", client.TermsURI)),
	}
	if u, err := url.Parse(view.URI); err == nil {
		view.Host = plain(u.Host, hostLimit)
	}
	if view.Name == "" {
		view.Name = l.Text("asker.nameless")
	}
	for _, r := range view.Name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			view.Letter = strings.ToUpper(string(r))
			break
		}
	}
	return view
}

// consentView is the content of the consent page.
type consentView struct {
	Client    clientView
	FormToken string
	// Username is the signed-in user, Subject the same for the form.
	Username, Subject string
	Scopes            []scopeView
	// Details are the authorization_details, such as one payment; Sum is the heading of a single one.
	Details []detailView
	Sum     *sumView
	// Allow and Deny are the labels of its answers, or empty.
	Allow, Deny display.Sentence
	// Change is what it does to what the user allowed before, or nil.
	Change *changeView
	// Claims are the names of single requested claims, in words.
	Claims []string
	// Purpose is why the client asks, in its words, or empty.
	Purpose string
	// Resources are the requested resource servers.
	Resources []string
	// Lifetime is the lifetime of the grant, in words, or empty; Until is the day on which it ends.
	Lifetime, Until string
	// Once reports that it allows one thing at once, so that there is no lifetime.
	Once bool
	// Account is where the user can end it, or empty.
	Account string
	// RedirectHost is the host of the redirect URI, or empty.
	RedirectHost string
	// Notice is why the page is shown again, or empty; Unchosen is the ID of the input that it is about, or empty.
	Notice, Unchosen string
	// Unoffered reports that nothing can be decided, because nothing can be offered of what is to be chosen; Again that this may pass.
	Unoffered, Again bool
}

// scopeView is one requested scope, with its parameter if it has one.
type scopeView struct{ Sentence, Parameter string }

// alone returns the only object of authorization_details (RFC 9396), whose question is the heading of the page, or an empty one:
// several are headed each.
func alone(details []display.View) display.View {
	if len(details) == 1 {
		return details[0]
	}
	return display.View{}
}

// viewScopes describes scopes in the words of a language: those of the configuration, else, of the scopes of OpenID Connect, ours.
func viewScopes(l *words.Language, scopes []scope.Scope) []scopeView {
	var views []scopeView
	for _, requested := range scopes {
		sentence := l.Pick(requested.Descriptions)
		if key := "scope." + requested.Name; sentence == "" && requested.Standard && l.Has(key) {
			sentence = l.Text(key)
		}
		for _, text := range []string{requested.Description, requested.Name} {
			if sentence == "" {
				sentence = text
			}
		}
		views = append(views, scopeView{Sentence: plain(sentence, sentenceLimit), Parameter: plain(requested.Parameter, idLimit)})
	}
	return views
}

// viewClaims names claims in the words of a language.
func viewClaims(l *words.Language, names []string) []string {
	var views []string
	for _, name := range names {
		if key := "claim." + name; l.Has(key) {
			views = append(views, l.Text(key))
			continue
		}
		views = append(views, strings.ReplaceAll(plain(name, idLimit), "_", " "))
	}
	return views
}

// sumView is the question of a page around its amount, which is the largest; without one all of it is After.
type sumView struct {
	Before display.Sentence
	Amount string
	After  display.Sentence
}

// viewSum finds the amount of a question; it is nil without a question.
func viewSum(question display.Sentence) *sumView {
	if len(question) == 0 {
		return nil
	}
	for i, part := range question {
		switch part.Role {
		case display.Amount, display.LimitPeriod, display.LimitPayment:
			return &sumView{Before: question[:i], Amount: part.Text, After: question[i+1:]}
		}
	}
	return &sumView{After: question}
}

// lasts is how long something lasts that is allowed now, and the last day of it.
func (p *Pages) lasts(l *words.Language, life display.Life) (length, day string) {
	end := life.End(p.now())
	last := end
	if end.Equal(life.Until) {
		last = end.Add(-time.Second) // a day ends when the next one begins
	}
	return l.Duration(end.Sub(p.now())), l.Date(last)
}

// Consent implements [authorize.Pages].
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request, in authorize.Interaction) {
	l := p.languageOf(r, in.Language, in.UILocales)
	one := alone(in.Details)
	view := consentView{
		Client: viewClient(l, in.Client), FormToken: in.FormToken,
		Username: plain(in.SignedIn.Username, nameLimit), Subject: in.SignedIn.Subject,
		Scopes: viewScopes(l, in.Scopes), Details: viewDetails(in.Details, in.Form, in.Problem.Code == browser.NothingChosen), Claims: viewClaims(l, in.Claims),
		Sum: viewSum(one.Heading), Allow: one.Allow, Deny: one.Deny,
		Change:       viewChange(l, in.Change),
		RedirectHost: plain(in.Client.RedirectHost, hostLimit), Purpose: display.Exact(in.Purpose),
	}
	if p.issuer != "" {
		view.Account = p.base + accountPath
	}
	if view.Username == "" {
		view.Username = plain(in.SignedIn.Subject, nameLimit)
	}
	view.Once = display.Once(in.Details, in.Scopes)
	if life := (display.Life{For: in.GrantLifetime, Until: in.GrantUntil}); life != (display.Life{}) && !view.Once {
		view.Lifetime, view.Until = p.lasts(l, life)
	}
	for _, resource := range in.ResourceNames {
		view.Resources = append(view.Resources, plain(resource, sentenceLimit))
	}
	title := one.Heading.String()
	if title == "" {
		title = l.Text("consent.heading", "client", view.Client.Name)
	}
	status := http.StatusOK
	switch in.Problem.Code {
	case browser.AnotherUser:
		view.Notice = l.Text("problem.another_user")
	case browser.RequestChanged:
		view.Notice = l.Text("problem.changed")
	case browser.AccountsAway:
		view.Notice, view.Unoffered, view.Again, status = l.Text("problem.accounts_away"), true, true, http.StatusServiceUnavailable
	case browser.NothingOffered:
		view.Notice, view.Unoffered = l.Text("problem.nothing_offered"), true
	case browser.NothingChosen:
		view.Unchosen = unchosen(view.Details)
		view.Notice = l.Text("problem.nothing_chosen", "deny", cmp.Or(one.Deny.String(), l.Text("consent.deny")))
	}
	if view.Notice != "" {
		title = l.Text("title.again", "page", title)
	}
	p.render(w, r, shown{l, status, "consent", p.policy.withForm(in.Client.RedirectHost), view}, title)
}
