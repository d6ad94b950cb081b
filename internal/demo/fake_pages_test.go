package demo

import (
	"fmt"
	"net/http"
	"net/url"
)

func (f *fakeServer) authorize(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: "__Host-browser", Value: "1", Path: "/", Secure: true, HttpOnly: true})
	switch f.fault {
	case "an error page":
		w.Header().Set("X-Correlation-Id", "c-19")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, "<!DOCTYPE html><style>p{}</style><main><h1>This link\n is used up</h1><p>Go back.</p></main>")
	case "a redirect that repeats forms":
		f.redirect(w, http.StatusTemporaryRedirect, "/interaction/1")
	case "a redirect to elsewhere":
		f.redirect(w, http.StatusSeeOther, "https://elsewhere.example/interaction/1")
	case "a redirect in circles":
		f.redirect(w, http.StatusSeeOther, "/authorize")
	case "a page without a form":
		fmt.Fprint(w, `<!DOCTYPE html><form method="get"><input name="username"><button id="sign-in" name="a">`)
	default:
		f.redirect(w, http.StatusSeeOther, f.issuer+"/interaction/1")
	}
}

// Pages like those of the server: each form has its own hidden inputs, and the second page has two forms.
const (
	signInPage = `<!DOCTYPE html><main>%s<form method="post" action=""><input type="hidden" name="form_token" value="t&amp;1">
<input name="username" value=""><input name="password" type="password">
<button id="sign-in" name="action" value="sign-in">Sign in</button><button id="cancel" name="action" value="cancel">Cancel</button></form>`
	consentPage = `<!DOCTYPE html><form method="post"><input type="hidden" name="form_token" value="t&amp;1"><button id="switch" name="action" value="switch">Switch</button>
</form><form method="post" action="?page=consent"><input type="hidden" name="form_token" value="t&amp;1"><input type="hidden" name="signed_in_as" value="1">
<button id="allow" name="decision" value="allow">Allow</button><button id="deny" name="decision" value="deny">Do not allow</button></form>`
)

func (f *fakeServer) interact(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("__Host-browser"); err != nil {
		f.t.Error("the browser lost its cookie")
	}
	if r.Method == http.MethodGet {
		fmt.Fprintf(w, signInPage, "")
		return
	}
	signIn := url.Values{"form_token": {"t&1"}, "username": {"alice"}, "password": {f.client.Password}, "action": {"sign-in"}}
	allow := url.Values{"form_token": {"t&1"}, "signed_in_as": {"1"}, "decision": {"allow"}}
	switch r.PostForm.Encode() {
	case signIn.Encode():
		if f.fault == "the password is refused" {
			fmt.Fprintf(w, signInPage, `<p id="problem">Wrong <b>password</b>.</p>`)
			return
		}
		fmt.Fprint(w, consentPage)
	case allow.Encode():
		if r.URL.RawQuery != "page=consent" {
			f.t.Errorf("the form's action was not followed: %s", r.URL)
		}
		f.back(w)
	default:
		f.t.Errorf("the form was sent as %v", r.PostForm)
	}
}

// back sends the browser to the client.
func (f *fakeServer) back(w http.ResponseWriter) {
	answer := url.Values{"code": {f.secret("code")}, "state": {f.pushed.Get("state")}, "iss": {f.issuer}}
	switch f.fault {
	case "another state":
		answer.Set("state", "other")
	case "no state":
		answer.Del("state")
	case "another iss":
		answer.Set("iss", "https://elsewhere.example")
	case "no iss":
		answer.Del("iss")
	case "no code":
		answer.Del("code")
	case "two codes":
		answer.Add("code", "other")
	case "the user refuses":
		answer.Del("code")
		answer.Set("error", "access_denied")
		answer.Set("error_description", "the user refused (correlation id c-20)")
	}
	f.redirect(w, http.StatusSeeOther, f.pushed.Get("redirect_uri")+"?"+answer.Encode())
}
