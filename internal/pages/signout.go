package pages

import (
	"net/http"

	"countersign/fapi/logout"
	"countersign/internal/words"
)

// signOutView is the content of the pages about signing out.
type signOutView struct {
	// Client is the name of the application that asks, or empty.
	Client string
	// Bank is the name of the service, Username the user who is signed in.
	Bank, Username string
	// Others are the applications that are signed out with it.
	Others []string
	// Notice is why the page is shown again, or empty.
	Notice    string
	FormToken string
	// Back is an address of the application, or empty.
	Back string
	// Account is the address of the user's own account, Again one to sign out, if this was answered before.
	Account, Again string
}

func (p *Pages) viewSignOut(l *words.Language, from logout.View) signOutView {
	view := signOutView{Bank: p.name(l), Username: plain(from.Username, nameLimit), FormToken: from.FormToken, Back: from.Back, Account: p.base + accountPath}
	if from.Client != nil {
		view.Client = viewClient(l, *from.Client).Name
	}
	for _, other := range from.Others {
		view.Others = append(view.Others, viewClient(l, other).Name)
	}
	if from.Answered {
		view.Again = p.base + logout.Path
	}
	if from.Changed {
		view.Notice = l.Text("problem.another_user")
	}
	return view
}

// SignOut implements [logout.Pages].
func (p *Pages) SignOut(w http.ResponseWriter, r *http.Request, from logout.View) {
	l := p.language(r, from.UILocales)
	view, host := p.viewSignOut(l, from), ""
	if from.Client != nil {
		host = from.Client.RedirectHost
	}
	title := l.Text("signout.heading", "bank", view.Bank)
	if view.Notice != "" {
		title = l.Text("title.again", "page", title)
	}
	p.render(w, r, shown{l, http.StatusOK, "signout", p.policy.withForm(host), view}, title)
}

// SignedOut implements [logout.Pages].
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, from logout.View) {
	l := p.language(r, from.UILocales)
	p.render(w, r, shown{l, http.StatusOK, "signedout", p.policy.withoutForm(), p.viewSignOut(l, from)}, l.Text("signedout.heading"))
}

// Stayed implements [logout.Pages].
func (p *Pages) Stayed(w http.ResponseWriter, r *http.Request, from logout.View) {
	l, heading := p.language(r, from.UILocales), "stayed.heading"
	if from.Answered {
		heading = "answered.heading"
	}
	p.render(w, r, shown{l, http.StatusOK, "stayed", p.policy.withoutForm(), p.viewSignOut(l, from)}, l.Text(heading))
}
