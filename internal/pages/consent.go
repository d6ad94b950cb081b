package pages

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/rar"
	"countersign/fapi/scope"
)

// clientView is what is shown of a client. Its texts are untrusted: sanitised, truncated and set apart.
type clientView struct {
	Name, ID string
	// Letter is shown instead of the logo, which would be loaded from another host.
	Letter string
	// URI, PolicyURI and TermsURI are https or empty.
	URI, PolicyURI, TermsURI string
}

func viewClient(client browser.Client) clientView {
	view := clientView{
		Name: plain(client.Name, nameLimit), ID: plain(client.ID, idLimit),
		URI: https(client.URI), PolicyURI: https(client.PolicyURI), TermsURI: https(client.TermsURI),
	}
	if view.Name == "" {
		view.Name = "Application without a name"
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
	// Details are the authorization_details, such as one payment.
	Details []detailView
	// Claims are the names of single requested claims, in words.
	Claims []string
	// Resources are the requested resource servers.
	Resources []string
	// Lifetime is the lifetime of the grant, in words, or empty.
	Lifetime string
	// RedirectHost is the host of the redirect URI, or empty.
	RedirectHost string
	// Notice is why the page is shown again, or empty.
	Notice string
}

// scopeView is one requested scope.
type scopeView struct{ Name, Sentence string }

// detailView is one object of authorization_details (RFC 9396), with all its values.
type detailView struct {
	Title string
	Lines []lineView
}

type lineView struct{ Label, Value string }

// viewDetails shows each value in full: a truncated or sanitised value would not be what is granted, so that unsafe
// ones are escaped instead.
func viewDetails(details []rar.View) []detailView {
	var views []detailView
	for _, detail := range details {
		view := detailView{Title: plain(detail.Title, sentenceLimit)}
		if view.Title == "" {
			view.Title = plain(detail.Type, idLimit)
		}
		for _, line := range detail.Lines {
			view.Lines = append(view.Lines, lineView{exact(line.Label), exact(line.Value)})
		}
		views = append(views, view)
	}
	return views
}

// viewScopes describes scopes in words.
func viewScopes(scopes []scope.Scope) []scopeView {
	var views []scopeView
	for _, requested := range scopes {
		each := scopeView{Name: plain(requested.Name, idLimit), Sentence: plain(requested.Description, sentenceLimit)}
		if each.Sentence == "" {
			each.Sentence = each.Name
		}
		views = append(views, each)
	}
	return views
}

// exact returns text as it is, or quoted with escapes if it has characters that are invisible or reorder others.
func exact(text string) string {
	if plain(text, len(text)) == text {
		return text
	}
	return strconv.QuoteToASCII(text)
}

// Consent implements [authorize.Pages].
func (p *Pages) Consent(w http.ResponseWriter, _ *http.Request, in authorize.Interaction) {
	view := consentView{
		Client: viewClient(in.Client), FormToken: in.FormToken,
		Username: plain(in.SignedIn.Username, nameLimit), Subject: in.SignedIn.Subject,
		Scopes: viewScopes(in.Scopes), Details: viewDetails(in.Details),
		RedirectHost: plain(in.Client.RedirectHost, hostLimit),
	}
	if view.Username == "" {
		view.Username = plain(in.SignedIn.Subject, nameLimit)
	}
	if in.GrantLifetime > 0 {
		view.Lifetime = inWords(in.GrantLifetime)
	}
	for _, name := range in.Claims {
		view.Claims = append(view.Claims, strings.ReplaceAll(plain(name, idLimit), "_", " "))
	}
	for _, resource := range in.Resources {
		view.Resources = append(view.Resources, plain(resource, sentenceLimit))
	}
	title := "Allow access?"
	switch in.Problem.Code {
	case browser.AnotherUser:
		title = "Look again: " + title
		view.Notice = "Somebody else has signed in since you saw this page. Look at the name below, then decide."
	case browser.RequestChanged:
		title = "Look again: " + title
		view.Notice = "The application has changed since you saw this page. Nothing was allowed. Look at it again, then decide."
	}
	p.render(w, http.StatusOK, "consent", title, p.policy.withForm(in.Client.RedirectHost), view)
}
