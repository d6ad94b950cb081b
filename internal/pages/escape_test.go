package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
)

// hostile are texts that try to be more than text.
var hostile = []string{
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`</title><script>alert(1)</script>`,
	`</style><script>alert(1)</script>`,
	`</p></main><form action="https://evil.example"><button>Allow</button></form>`,
	`<input name="action" value="allow">`,
	`"><button name="action" value="allow" formaction="https://evil.example">`,
	`" onfocus="alert(1)" autofocus="`,
	`<svg/onload=alert(1)>`,
	`<!-- `, `--> <b>`, `<![CDATA[x]]>`, `&lt;b&gt;`, `&#x22;&gt;`,
	`{{.FormToken}}`, `{{template "frame"}}`, `${7*7}`,
	`javascript:alert(1)`, `data:text/html,<script>alert(1)</script>`,
	`<meta http-equiv="refresh" content="0;url=https://evil.example">`,
	`<base href="https://evil.example/">`, `<link rel=stylesheet href=//evil.example>`,
	"\u003cscript\u003ealert(1)\u003c/script\u003e", "\uff1cscript\uff1e", "<\x00script>alert(1)</script>",
	"\u202e\u2066tnemyaP dihcrO\u2069", "a\u0000b", "\xff\xfe<b>", "Z\u0336\u0337\u0338\u0336\u0337\u0338",
	strings.Repeat("Bank ", 2000), strings.Repeat("W", 10000), strings.Repeat("<", 500),
}

// TestHostileTexts puts each text wherever something from outside is shown. Compared with a harmless word there, the
// page must have the same elements with the same attributes.
func TestHostileTexts(t *testing.T) {
	for name, page := range map[string]func(text string) string{
		"sign in": func(text string) string {
			in := newInteraction()
			in.Client.ID, in.Client.Name, in.LoginHint = text, text, text
			return signInPage(t, in).Body.String()
		},
		"sign in again": func(text string) string {
			in := newInteraction()
			in.Client.Name, in.LoginHint = text, text
			in.Form = url.Values{"action": {"sign-in"}, "username": {text}, "password": {text}}
			in.Problem = browser.Problem{Code: browser.WrongPassword, TriesLeft: 4}
			return signInPage(t, in).Body.String()
		},
		"sign in as somebody else": func(text string) string {
			in := signedIn()
			in.SignedIn.Username = text
			return signInPage(t, in).Body.String()
		},
		"consent": func(text string) string {
			in := signedIn()
			in.Client.ID, in.Client.Name, in.Client.RedirectHost = text, text, text
			in.Client.URI, in.Client.PolicyURI = "https://orchid.example/"+text, "https://orchid.example/?"+text
			in.Scopes = []scope.Scope{{Name: text, Description: text}, {Name: "payments", Description: text}}
			in.SignedIn = &browser.SignedIn{Subject: text, Username: text}
			in.Claims = []string{text}
			shown := text
			if len(shown) > 200 { // a schema bounds what is shown whole
				shown = "cut"
			}
			in.Details = []display.View{paying(shown, "en")}
			in.ResourceNames = []string{shown}
			return consentPage(t, in).Body.String()
		},
		"consent, form token": func(text string) string {
			in := signedIn()
			in.FormToken = text
			return consentPage(t, in).Body.String()
		},
		"sign out": func(text string) string {
			view := signOut()
			view.Client.Name, view.Username, view.Others[0].Name = text, text, text
			return signOutPage(t, view, (*Pages).SignOut).Body.String()
		},
		"signed out": func(text string) string {
			view := signOut()
			view.Client.Name, view.Back = text, "https://app.orchid.example/out?state="+url.QueryEscape(text)
			return signOutPage(t, view, (*Pages).SignedOut).Body.String()
		},
		"failure": func(text string) string {
			return failurePage(t, browser.Failure{Status: 400, Code: text, Description: text, CorrelationID: text}).Body.String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := shape(t, page("harmless"))
			for _, text := range hostile {
				body := page(text)
				got := shape(t, body)
				if name == "consent" { // an address that is none is no link; what else is there must be as it was
					want, got = withoutLinks(want), withoutLinks(got)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%.80q changes the page (-want +got):\n%s", text, diff)
				}
				seen := visible(t, body)
				for _, r := range seen {
					if r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0 {
						t.Errorf("%.80q: %U is on the page", text, r)
					}
				}
				// Long texts would push what matters out of sight.
				if len(seen) > 4000 {
					t.Errorf("%.80q makes a page of %d bytes", text, len(seen))
				}
			}
		})
	}
}

// shape is a page without its texts: elements with the names of their attributes, and the values of those that decide
// where something goes.
func shape(t *testing.T, page string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var elements []string
	for node := range root.Descendants() {
		if node.Type == html.CommentNode {
			elements = append(elements, "comment")
		}
		if node.Type != html.ElementNode {
			continue
		}
		element := node.Data
		for _, attribute := range node.Attr {
			element += " " + attribute.Key
			switch attribute.Key {
			case "action", "method", "name", "type", "id", "rel", "target":
				element += fmt.Sprintf("=%q", attribute.Val)
			case "href":
				scheme, _, _ := strings.Cut(attribute.Val, "/")
				element += "=" + scheme
			}
		}
		// Whether a name is filled in decides which field has the focus.
		element = strings.ReplaceAll(element, " autofocus", "")
		elements = append(elements, element)
	}
	return elements
}

// visible is what a user can see of a page.
func visible(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for node := range root.Descendants() {
		if node.Type == html.TextNode && node.Parent.Data != "style" {
			text.WriteString(node.Data)
		}
		for _, attribute := range node.Attr {
			if node.Data == "input" && attribute.Key == "value" && !slices.Contains(node.Attr, html.Attribute{Key: "type", Val: "hidden"}) {
				text.WriteString(attribute.Val)
			}
		}
	}
	return text.String()
}

func withoutLinks(elements []string) []string {
	var kept []string
	for _, element := range elements {
		// The host of the website goes with its address.
		if !strings.HasPrefix(element, "a href=https:") && element != "strong class" && element != "p class" {
			kept = append(kept, element)
		}
	}
	return kept
}

// TestNothingFromElsewhere: no page loads anything, and every form goes to the page's own address with its token.
func TestNothingFromElsewhere(t *testing.T) {
	for _, test := range pageCases(t) {
		t.Run(test.name, func(t *testing.T) {
			root, err := html.Parse(strings.NewReader(test.page.Body.String()))
			if err != nil {
				t.Fatal(err)
			}
			for node := range root.Descendants() {
				if node.Type != html.ElementNode {
					continue
				}
				attributes := map[string]string{}
				for _, attribute := range node.Attr {
					attributes[attribute.Key] = attribute.Val
					if strings.HasPrefix(attribute.Key, "on") || attribute.Key == "style" || attribute.Key == "src" || attribute.Key == "formaction" {
						t.Errorf("%s has the attribute %s", node.Data, attribute.Key)
					}
				}
				switch node.Data {
				case "script", "img", "iframe", "object", "embed", "base":
					t.Errorf("the page has the element %s", node.Data)
				case "link":
					if !strings.HasPrefix(attributes["href"], "data:") {
						t.Errorf("the page loads %s", attributes["href"])
					}
				case "a":
					onward := attributes["id"] == "back" // to the application, in place of this page
					if strings.HasPrefix(attributes["href"], "https:") && (attributes["rel"] != "noopener noreferrer" || attributes["target"] != "_blank" && !onward) {
						t.Errorf("the link to %s says too much", attributes["href"])
					}
				case "form":
					if attributes["action"] != "" || attributes["method"] != "post" {
						t.Errorf("a form goes by %s to %q", attributes["method"], attributes["action"])
					}
					if token := hidden(node, "form_token"); token != newInteraction().FormToken {
						t.Errorf("a form has the token %q", token)
					}
				}
			}
		})
	}
}

// hidden is the value of a hidden input.
func hidden(form *html.Node, name string) string {
	for node := range form.Descendants() {
		attributes := map[string]string{}
		for _, attribute := range node.Attr {
			attributes[attribute.Key] = attribute.Val
		}
		if attributes["type"] == "hidden" && attributes["name"] == name {
			return attributes["value"]
		}
	}
	return ""
}

// TestHostileMessages: what the bank's own catalogue says is text, in an element and in an attribute.
func TestHostileMessages(t *testing.T) {
	page := func(text string) (body string, refused error) {
		raw, err := json.Marshal(map[string]string{"frame.skip": text, "device.account": text})
		if err != nil {
			t.Fatal(err)
		}
		p, err := New(Config{Brand: Brand{Locales: []string{"en"}, Words: fstest.MapFS{"en/own.json": {Data: raw}}}})
		if err != nil {
			return "", err
		}
		w := httptest.NewRecorder()
		p.Device().Home(w, httptest.NewRequest(http.MethodGet, "/device", nil), onDevice())
		return w.Body.String(), nil
	}
	harmless, err := page("harmless")
	if err != nil || strings.Count(harmless, "harmless") < 3 {
		t.Fatalf("%v: %s", err, harmless)
	}
	shown := 0
	for _, text := range hostile {
		body, refused := page(text)
		if refused != nil { // it has what cannot be seen
			continue
		}
		shown++
		if diff := cmp.Diff(shape(t, harmless), shape(t, body)); diff != "" {
			t.Errorf("%.80q changes the page (-want +got):\n%s", text, diff)
		}
	}
	if shown < 20 {
		t.Errorf("only %d texts were shown", shown)
	}
}
