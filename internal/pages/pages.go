// Package pages holds the built-in pages in which a person signs in and decides, those of the authentication device, and the
// page that shows an error.
//
// They are plain HTML forms with one inline style sheet: nothing from another host, nothing kept by the browser. Passkeys,
// which browsers have for scripts only, are one small file of our own (assets); every other thing works without it. What a client says about itself is shown as text that cannot pass for ours.
package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"countersign/fapi"
	"countersign/internal/oauth"
)

// Directory proves that a user name and a password belong together.
type Directory interface {
	// Authenticate returns the subject of the person with this name and password. Config.Refused and
	// Config.Throttled are two of its errors; any other is the server's fault.
	Authenticate(ctx context.Context, username, password string) (subject string, err error)
}

// passwordACR is the authentication context class that a user name and a password reach: ours, since no registered one
// says just that.
const passwordACR = "urn:countersign:acr:password"

// ACRValues are the authentication context classes that these pages can reach, best first.
func ACRValues() []string { return []string{passwordACR} }

// Config is everything that [Pages] need.
type Config struct {
	Directory Directory
	// Refused is the Directory's error for a name and a password that do not belong together.
	Refused error
	// Throttled is its error for too many attempts. What wraps it may say how long to wait, by a method
	// RetryAfter() time.Duration.
	Throttled error
	// Name is the name that the pages bear; "Countersign" by default.
	Name string
	// Issuer is the server's https address, whose host the pages show, or empty.
	Issuer string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
}

// Pages implements [fapi.Interactor]. Make one with [New].
type Pages struct {
	directory Directory
	refused   error
	throttled error
	name      string
	host      string
	// issuer is the server's address, and base its path; both may be empty.
	issuer, base string
	now          func() time.Time
	log          *slog.Logger

	style     template.CSS
	policy    contentPolicy
	templates map[string]*template.Template
}

var _ fapi.Interactor = (*Pages)(nil)

// New checks the configuration and makes the pages.
func New(config Config) (*Pages, error) {
	if config.Directory == nil || config.Refused == nil || config.Throttled == nil {
		return nil, errors.New("pages: Directory and its errors Refused and Throttled are required")
	}
	p := &Pages{
		directory: config.Directory, refused: config.Refused, throttled: config.Throttled,
		name: plain(config.Name, nameLimit), log: config.Logger,
	}
	if p.name == "" {
		p.name = "Countersign"
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if config.Issuer != "" {
		issuer, err := url.Parse(config.Issuer)
		if err != nil || issuer.Scheme != "https" || issuer.Host == "" {
			return nil, fmt.Errorf("pages: Issuer %q is not an https address", config.Issuer)
		}
		p.host, p.issuer, p.base = issuer.Host, config.Issuer, issuer.EscapedPath()
	}
	if p.now = config.Now; p.now == nil {
		p.now = time.Now
	}
	var err error
	if p.style, p.templates, err = parseTemplates(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.policy = newContentPolicy(p.style)
	return p, nil
}

// ending is what a visit can end with besides a page. A [fapi.Turn] is one.
type ending interface {
	SignIn(w http.ResponseWriter, r *http.Request, a fapi.Authentication)
	SignInFailed(ctx context.Context) (failures int, err error)
	SignInWithPasskey(w http.ResponseWriter, r *http.Request) error
	Allow(w http.ResponseWriter, r *http.Request)
	Deny(w http.ResponseWriter, r *http.Request)
}

// Interact implements [fapi.Interactor].
func (p *Pages) Interact(w http.ResponseWriter, r *http.Request, turn *fapi.Turn) {
	p.interact(w, r, turn, turn)
}

func (p *Pages) interact(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending) {
	switch {
	case turn.SignInFailures >= fapi.MaxSignInFailures:
		end.Deny(w, r)
	case turn.Form != nil:
		p.act(w, r, turn, end)
	case turn.SignedIn == nil:
		p.showSignIn(w, turn, problem{})
	default:
		p.showConsent(w, turn, "")
	}
}

// act does what the button says that the person pressed.
func (p *Pages) act(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending) {
	switch turn.Form.Get("action") {
	case "sign-in":
		p.signIn(w, r, turn, end)
	case "passkey":
		p.signInWithPasskey(w, r, turn, end)
	case "switch":
		turn.LoginHint = "" // the guess was not right
		p.showSignIn(w, turn, problem{})
	case "allow":
		p.allow(w, r, turn, end)
	case "deny", "cancel":
		end.Deny(w, r)
	default:
		p.Fail(w, r, fapi.Failure{
			Status: http.StatusBadRequest, Code: oauth.InvalidRequest, CorrelationID: correlationID(w),
			Description: "this form was sent without one of its buttons; go back and try again",
		})
	}
}

// frame is what every page shows around its content.
type frame struct {
	Title string
	Name  string
	// Host is where the person is, or empty.
	Host  string
	Style template.CSS
	// Scripts, Manifest and Icon are addresses, or empty.
	Scripts        []string
	Manifest, Icon string
	// Body is the content's view.
	Body any
}

// render writes a page.
func (p *Pages) render(w http.ResponseWriter, status int, page, title string, policy string, body any) {
	p.renderFrame(w, status, page, policy, body, frame{Title: title})
}

// renderFrame writes a page in a frame that has its title and whatever else is not the same for all. The whole page is
// made before anything is sent.
func (p *Pages) renderFrame(w http.ResponseWriter, status int, page, policy string, body any, around frame) {
	around.Title += " – " + p.name
	around.Name, around.Host, around.Style, around.Body = p.name, p.host, p.style, body
	var text bytes.Buffer
	err := p.templates[page].ExecuteTemplate(&text, "frame", around)
	if err != nil { // the templates are embedded and tested with every view: only a broken build comes here
		p.log.Error("page", "page", page, "correlation_id", correlationID(w), "error", err.Error())
		oauth.Write(w, err, correlationID(w))
		return
	}
	setHeaders(w.Header(), policy)
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // nobody is left to be told
}

// correlationID is what the server named this request.
func correlationID(w http.ResponseWriter) string { return w.Header().Get("X-Correlation-Id") }

// retryAfter is how long to wait after an error of the kind Throttled.
func retryAfter(err error) time.Duration {
	throttled, found := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err)
	if !found {
		return time.Minute
	}
	return max(throttled.RetryAfter(), time.Second)
}
