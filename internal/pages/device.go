package pages

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/internal/oauth"
)

var _ fapi.DevicePages = (*Pages)(nil)

// devicePart is what every page of the device shows.
type devicePart struct {
	FormToken string
	// Username is who is signed in, or what was typed.
	Username string
	// Base is the path of the device's pages.
	Base    string
	Version string
	Problem string
	// Notice is what was done, or empty.
	Notice string
	// Passkey are the options for the page's ceremony, or empty.
	Passkey string
	// PasskeyOnly is for the sign-in page of applications.
	PasskeyOnly bool
	// Confirms tells that people are asked over the backchannel.
	Confirms bool
}

// deviceHomeView is the list of what waits.
type deviceHomeView struct {
	devicePart
	Requests []requestView
	// Now is the time of the list.
	Now string
	// PushKey is for the subscription of this browser, or empty; Endpoints are those of the person.
	PushKey, Endpoints string
}

// deviceRequestView is one request.
type deviceRequestView struct {
	devicePart
	Heading, Sentence string
	Request           requestView
	Waiting           bool
	// ByPasskey tells that the decision needs one; Approve and Deny are its options.
	ByPasskey     bool
	Approve, Deny string
}

// deviceSettingsView is what a person confirms with.
type deviceSettingsView struct {
	devicePart
	Fresh              bool
	Passkeys, Devices  []thingView
	Code, CodeLifetime string
}

// thingView is a passkey or an application.
type thingView struct{ ID, Name, Facts string }

// requestView is what is shown of a request.
type requestView struct {
	ID             string
	Client         clientView
	BindingMessage string
	Scopes         []scopeView
	Details        []detailView
	Resources      []string
	// Asked is when it came, Left how long it can be decided, and Lifetime how long the access lasts, or empty.
	Asked, Left, Lifetime string
}

func (p *Pages) viewRequest(request fapi.RequestView) requestView {
	view := requestView{
		ID: request.Reference, Client: viewClient(request.Client), BindingMessage: exact(request.Message),
		Scopes: viewScopes(request.Scopes), Details: viewDetails(request.Details),
		Asked: clock(request.CreatedAt), Left: "Expired",
	}
	for _, resource := range request.Resources {
		view.Resources = append(view.Resources, plain(resource, sentenceLimit))
	}
	if request.GrantLifetime > 0 {
		view.Lifetime = inWords(request.GrantLifetime)
	}
	if left := request.ExpiresAt.Sub(p.now()); left > 0 {
		view.Left = inWords(left) + ", until " + clock(request.ExpiresAt)
	}
	return view
}

// clock writes a time for a person. The server does not know the person's zone, and says which one it means.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// day writes a date.
func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

// Device implements [fapi.DevicePages].
func (p *Pages) Device(w http.ResponseWriter, r *http.Request, visit *fapi.DeviceVisit) {
	switch {
	case visit.Page == fapi.DeviceSignIn && visit.Form != nil:
		p.deviceSignIn(w, r, visit)
	case visit.Page == fapi.DeviceSignIn:
		p.showDeviceSignIn(w, visit)
	case visit.Page == fapi.DeviceRequest && visit.Form != nil && visit.Request.State == fapi.RequestWaiting:
		p.deviceDecide(w, r, visit)
	case visit.Page == fapi.DeviceRequest:
		p.showDeviceRequest(w, visit)
	case visit.Page == fapi.DeviceSettings:
		p.showDeviceSettings(w, visit)
	default:
		p.showDeviceHome(w, visit)
	}
}

// deviceSignIn checks a password. What is typed is never logged.
func (p *Pages) deviceSignIn(w http.ResponseWriter, r *http.Request, visit *fapi.DeviceVisit) {
	username, password := strings.TrimSpace(visit.Form.Get("username")), visit.Form.Get("password")
	subject, problem, err := p.password(w, r, username, password)
	switch {
	case err != nil:
		p.failInternally(w, r)
	case problem != "":
		visit.Problem = problem
		p.showDeviceSignIn(w, visit)
	default:
		visit.SignIn(w, r, fapi.Authentication{Subject: subject, ACR: passwordACR, AMR: []string{"pwd"}})
	}
}

// password asks the directory. The problem is for the person; an error is the server's own and is logged.
func (p *Pages) password(w http.ResponseWriter, r *http.Request, username, password string) (subject, problem string, err error) {
	log := p.log.With("correlation_id", correlationID(w), "page", "device")
	subject, err = p.directory.Authenticate(r.Context(), username, password)
	switch {
	case err == nil:
		return subject, "", nil
	case errors.Is(err, p.throttled):
		wait := retryAfter(err)
		log.WarnContext(r.Context(), "sign-in throttled", "wait", wait)
		w.Header().Set("Retry-After", strconv.Itoa(seconds(wait)))
		return "", "There were too many attempts to sign in. Wait " + inWords(wait) + ", then try again.", nil
	case errors.Is(err, p.refused):
		log.InfoContext(r.Context(), "sign-in refused")
		return "", "The user name and the password do not belong together. Check both, then try again.", nil
	}
	log.ErrorContext(r.Context(), "sign-in failed", "error", err.Error())
	return "", "", err
}

// deviceDecide is a decision of somebody without a passkey.
func (p *Pages) deviceDecide(w http.ResponseWriter, r *http.Request, visit *fapi.DeviceVisit) {
	subject, problem, err := p.password(w, r, visit.SignedIn.Username, visit.Form.Get("password"))
	if err == nil && problem != "" {
		err = visit.DecisionRefused()
		if err == nil {
			visit.Problem = "Nothing was decided: the password is not right. Type it again, then decide."
			if strings.Contains(problem, "too many") {
				visit.Problem = problem
			}
			p.showDeviceRequest(w, visit)
			return
		}
	}
	if err != nil {
		refusal := oauth.AsError(err)
		p.Fail(w, r, fapi.Failure{
			Status: refusal.HTTPStatus(), Code: refusal.Code, Description: refusal.Description, CorrelationID: correlationID(w),
		})
		return
	}
	visit.Decide(w, r, fapi.Authentication{Subject: subject, ACR: passwordACR, AMR: []string{"pwd"}})
}

// part is what the visit has for every page.
func (p *Pages) part(visit *fapi.DeviceVisit) devicePart {
	part := devicePart{
		FormToken: visit.FormToken, Base: p.base + "/device", Version: visit.Version, Problem: visit.Problem, Notice: visit.Notice, Passkey: visit.Passkey, Confirms: visit.Confirms,
	}
	if visit.SignedIn != nil {
		part.Username = plain(visit.SignedIn.Username, nameLimit)
	}
	return part
}

func (p *Pages) showDeviceSignIn(w http.ResponseWriter, visit *fapi.DeviceVisit) {
	part := p.part(visit)
	if username := visit.Form.Get("username"); plain(username, maxUsername) == username {
		part.Username = username
	}
	p.renderDevice(w, visit, "device_signin", "Sign in", part)
}

func (p *Pages) showDeviceHome(w http.ResponseWriter, visit *fapi.DeviceVisit) {
	view := deviceHomeView{devicePart: p.part(visit), Now: clock(p.now()), PushKey: visit.PushKey, Endpoints: strings.Join(visit.PushEndpoints, " ")}
	for _, request := range visit.Requests {
		view.Requests = append(view.Requests, p.viewRequest(request))
	}
	title := "Requests to confirm"
	if count := len(view.Requests); count > 0 {
		title = "(" + strconv.Itoa(count) + ") " + title
	}
	p.renderDevice(w, visit, "device_home", title, view)
}

func (p *Pages) showDeviceRequest(w http.ResponseWriter, visit *fapi.DeviceVisit) {
	view := deviceRequestView{
		devicePart: p.part(visit), Request: p.viewRequest(*visit.Request), Waiting: visit.Request.State == fapi.RequestWaiting,
		Approve: visit.Approve, Deny: visit.Deny,
	}
	view.ByPasskey = view.Waiting && view.Approve != ""
	switch visit.Request.State {
	case fapi.RequestApproved:
		view.Heading, view.Sentence = "Approved", "This was approved. You can go back to where you began."
	case fapi.RequestDenied:
		view.Heading, view.Sentence = "Denied", "This was denied. Nothing was allowed."
	case fapi.RequestExpired:
		view.Heading, view.Sentence = "Too late", "The time for this decision is over. Nothing was allowed."
	default:
		view.Heading, view.Sentence = "Did you ask for this?", "Somebody asks for this in your name. Approve it only if it was you."
	}
	p.renderDevice(w, visit, "device_request", view.Heading, view)
}

func (p *Pages) showDeviceSettings(w http.ResponseWriter, visit *fapi.DeviceVisit) {
	view := deviceSettingsView{devicePart: p.part(visit), Fresh: visit.Fresh}
	for _, passkey := range visit.Passkeys {
		view.Passkeys = append(view.Passkeys, viewPasskey(passkey))
	}
	for _, device := range visit.Devices {
		view.Devices = append(view.Devices, thingView{ID: device.ID, Name: plain(device.Name, nameLimit), Facts: facts(device.CreatedAt, device.UsedAt)})
	}
	if visit.Code != "" {
		view.Code, view.CodeLifetime = inGroups(visit.Code), inWords(visit.CodeLifetime)
	}
	p.renderDevice(w, visit, "device_settings", "Passkeys and applications", view)
}

func viewPasskey(passkey fapi.PasskeyView) thingView {
	view := thingView{
		ID: passkey.ID, Name: plain(passkey.Name, nameLimit), Facts: facts(passkey.CreatedAt, passkey.UsedAt),
	}
	switch {
	case !passkey.ClonedAt.IsZero():
		view.Facts += "; refused since " + day(passkey.ClonedAt) + ", because there is a copy of it: remove it"
	case passkey.Synced:
		view.Facts += "; synchronised between your devices"
	default:
		view.Facts += "; on one device only"
	}
	return view
}

func facts(added, used time.Time) string {
	if used.IsZero() {
		return "Added on " + day(added) + ", not used yet"
	}
	return "Added on " + day(added) + ", last used on " + day(used)
}

// inGroups writes a code as people read it out.
func inGroups(code string) string {
	var groups []string
	for ; len(code) > 4; code = code[4:] {
		groups = append(groups, code[:4])
	}
	return strings.Join(append(groups, code), " ")
}

// renderDevice writes a page of the device.
func (p *Pages) renderDevice(w http.ResponseWriter, visit *fapi.DeviceVisit, page, title string, body any) {
	status := visit.Status
	if status == 0 {
		status = http.StatusOK
	}
	if visit.Problem != "" {
		title = "Problem: " + title
	}
	around := frame{Title: title, Scripts: []string{p.base + passkeyScript, p.base + deviceScript}}
	if visit.Confirms { // there is something to install
		around.Manifest, around.Icon = p.base+manifestFile, p.base+"/device/icon-192.png"
	}
	p.renderFrame(w, status, page, p.policy.withDevice(p.issuer), body, around)
}
