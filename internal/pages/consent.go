package pages

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"countersign/fapi"
)

// clientView is what is shown of a client. Its texts are the client's own words: cleaned, cut, and set apart.
type clientView struct {
	Name, ID string
	// Letter stands in for a picture: pictures would come from another host.
	Letter string
	// URI, PolicyURI and TermsURI are https or empty.
	URI, PolicyURI, TermsURI string
}

func viewClient(client fapi.ClientView) clientView {
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

// consentView is what the consent page shows.
type consentView struct {
	Client    clientView
	FormToken string
	// Username is who decides, and Subject the same for the form.
	Username, Subject string
	Scopes            []scopeView
	// Details are what is asked for in particular, such as one payment.
	Details []detailView
	// Claims are single facts about the person that the client would learn, in words.
	Claims []string
	// Resources are the services that the access is for, when the client names them.
	Resources []string
	// Lifetime is how long the access lasts, in words, or empty.
	Lifetime string
	// RedirectHost is where the browser goes next, or empty.
	RedirectHost string
	// Notice says why the page is shown again, or is empty.
	Notice string
}

// scopeView is one thing that the client will be able to do.
type scopeView struct{ Name, Sentence string }

// detailView is one object of authorization_details (RFC 9396), shown with everything that it says.
type detailView struct {
	Title string
	Lines []lineView
}

type lineView struct{ Label, Value string }

// viewDetails shows each value whole: a value that is cut or cleaned would not be what is granted, so it is shown in
// its escaped form instead.
func viewDetails(details []fapi.DetailView) []detailView {
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

// viewScopes says scopes in words.
func viewScopes(scopes []fapi.Scope) []scopeView {
	var views []scopeView
	for _, scope := range scopes {
		each := scopeView{Name: plain(scope.Name, idLimit), Sentence: plain(scope.Description, sentenceLimit)}
		if each.Sentence == "" {
			each.Sentence = each.Name
		}
		views = append(views, each)
	}
	return views
}

// exact is text that looks like what it is: anything that could hide or reorder characters is written as an escape.
func exact(text string) string {
	if plain(text, len(text)) == text {
		return text
	}
	return strconv.QuoteToASCII(text)
}

func (p *Pages) showConsent(w http.ResponseWriter, turn *fapi.Turn, notice string) {
	view := consentView{
		Client: viewClient(turn.Client), FormToken: turn.FormToken,
		Username: plain(turn.SignedIn.Username, nameLimit), Subject: turn.SignedIn.Subject,
		RedirectHost: plain(turn.Client.RedirectHost, hostLimit), Notice: notice,
	}
	if view.Username == "" {
		view.Username = plain(turn.SignedIn.Subject, nameLimit)
	}
	if turn.GrantLifetime > 0 {
		view.Lifetime = inWords(turn.GrantLifetime)
	}
	view.Scopes = viewScopes(turn.Scopes)
	view.Details = viewDetails(turn.Details)
	for _, name := range turn.Claims {
		view.Claims = append(view.Claims, strings.ReplaceAll(plain(name, idLimit), "_", " "))
	}
	for _, resource := range turn.Resources {
		view.Resources = append(view.Resources, plain(resource, sentenceLimit))
	}
	title := "Allow access?"
	if notice != "" {
		title = "Look again: " + title
	}
	p.render(w, http.StatusOK, "consent", title, p.policy.withForm(turn.Client.RedirectHost), view)
}

// allow grants, if the person whose name was on the page is still the one who is signed in. Another tab of the
// browser may have signed in somebody else.
func (p *Pages) allow(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending) {
	switch {
	case turn.SignedIn == nil:
		p.showSignIn(w, turn, problem{Summary: "Your sign-in has ended. Sign in again to decide."})
	case turn.Form.Get("signed_in_as") != turn.SignedIn.Subject:
		p.showConsent(w, turn, "Somebody else has signed in since you saw this page. Look at the name below, then decide.")
	default:
		end.Allow(w, r)
	}
}
