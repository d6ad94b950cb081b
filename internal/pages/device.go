package pages

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/device"
)

// DevicePages renders the pages of the authentication device. [Pages.Device] makes it.
type DevicePages struct{ pages *Pages }

var _ device.Pages = DevicePages{}

// Device returns the pages of the authentication device.
func (p *Pages) Device() DevicePages { return DevicePages{p} }

// Fail implements [browser.ErrorPage].
func (d DevicePages) Fail(w http.ResponseWriter, r *http.Request, failure browser.Failure) {
	d.pages.Fail(w, r, failure)
}

// devicePart is the content that all pages of the device share.
type devicePart struct {
	FormToken string
	// Username is the signed-in user, or what was typed to sign in.
	Username string
	// Base is the path of the device's pages.
	Base    string
	Version string
	Problem string
	// Notice is the result of the last form, or empty.
	Notice string
	// Passkey are the options of the page's WebAuthn ceremony, or empty.
	Passkey string
	// PasskeyOnly is used by the sign-in page only.
	PasskeyOnly bool
	// Confirms reports whether backchannel authentication is on.
	Confirms bool
}

// deviceHomeView is the list of pending requests.
type deviceHomeView struct {
	devicePart
	Requests []requestView
	// Asked reports whether the user has to decide about applications, in the settings.
	Asked bool
	// Now is when the list was made.
	Now string
	// WebPushKey is for the subscription of this browser, or empty; Endpoints are those of the user.
	WebPushKey, Endpoints string
}

// deviceRequestView is one request.
type deviceRequestView struct {
	devicePart
	Heading, Sentence string
	Request           requestView
	Waiting           bool
	// ByPasskey reports whether approving needs one; Approve are its options.
	ByPasskey bool
	Approve   string
}

// deviceSettingsView is the settings page.
type deviceSettingsView struct {
	devicePart
	Fresh             bool
	Passkeys, Devices []thingView
	// Asked are those of Devices about which the user has to decide.
	Asked              []thingView
	Blocked            []thingView
	Code, CodeLifetime string
}

// deviceRemoveView asks about the last passkey.
type deviceRemoveView struct {
	devicePart
	Removing thingView
	Remove   string
}

// thingView is a passkey or an application.
type thingView struct{ ID, Name, Facts string }

// requestView is a request as it is shown.
type requestView struct {
	ID             string
	Client         clientView
	BindingMessage string
	Scopes         []scopeView
	Details        []detailView
	Resources      []string
	// Asked is when it was made, Left the time left to decide it, and Lifetime the lifetime of the grant, or empty.
	Asked, Left, Lifetime string
}

func (p *Pages) viewRequest(request backchannel.View) requestView {
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

// clock formats a time of day. The user's time zone is unknown, so that it is UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// day formats a date.
func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

// part returns the content that all pages share.
func (p *Pages) part(page device.Page) devicePart {
	part := devicePart{
		FormToken: page.FormToken, Base: p.base + "/device", Version: page.Version, Problem: deviceProblem(page.Problem),
		Notice: deviceNotice(page.Notice), Passkey: page.Passkey, Confirms: page.Confirms,
	}
	if page.SignedIn != nil {
		part.Username = plain(page.SignedIn.Username, nameLimit)
	}
	return part
}

// deviceProblem describes a problem. It does not say which field of the sign-in form is empty.
func deviceProblem(problem browser.Problem) string {
	switch problem.Code {
	case browser.NoUsername, browser.NoPassword, browser.NeitherGiven:
		return summary(browser.Problem{Code: browser.WrongPassword})
	case browser.NotDecidedPassword:
		return "Nothing was decided: the password is not right. Type it again, then decide."
	case browser.NotDecidedPasskey:
		return "Nothing was decided: your passkey was not accepted. Try again."
	case browser.RequestChanged:
		return "Nothing was decided: the request has changed since you saw this page. Look at it again, then decide."
	case browser.SignInAgain:
		return "Sign in again first, with a passkey if you have one: that keeps others from changing what you confirm with."
	case browser.InvalidName:
		return "This name cannot be used: it needs 1 to 60 characters, all of which can be seen."
	case browser.NotRemoved:
		return "Nothing was removed: your passkey was not accepted. Try again."
	case browser.TooManyPasskeys:
		return "No more passkeys can be added."
	case browser.TooManyDevices:
		return "You have as many applications as one person can. Remove one first."
	case browser.NewPasskeyRefused:
		return "The passkey was not accepted. Try again."
	}
	return summary(problem)
}

// deviceNotice describes the result of a form.
func deviceNotice(notice device.NoticeCode) string {
	switch notice {
	case device.PasskeyAdded:
		return "The passkey is added. From now on you confirm with it."
	case device.PasskeyRemoved:
		return "The passkey is removed. Delete it on your device too."
	case device.PasskeyChanged:
		return "Your passkey may now be copied to your other devices, or an application changed how it keeps it. " +
			"If you did not expect that, remove it in the settings and add a new one."
	case device.DeviceRemoved:
		return "The application is removed: it can confirm nothing any more."
	case device.DevicesRemoved:
		return "The applications are removed: they can confirm nothing any more."
	case device.DevicesKept:
		return "The applications are kept."
	case device.ClientBlocked:
		return "It is blocked, with whatever else the same organisation has registered. What waited of it is denied. You can undo this in the settings."
	case device.ClientUnblocked:
		return "It can ask you again."
	case device.BrowserSubscribed:
		return "This browser will tell you of new requests."
	}
	return ""
}

// SignIn implements [device.Pages].
func (d DevicePages) SignIn(w http.ResponseWriter, _ *http.Request, page device.Page) {
	part := d.pages.part(page)
	if plain(page.Username, maxUsername) == page.Username {
		part.Username = page.Username
	}
	d.pages.renderDevice(w, page, "device_signin", "Sign in", part)
}

// Home implements [device.Pages].
func (d DevicePages) Home(w http.ResponseWriter, _ *http.Request, page device.Page) {
	view := deviceHomeView{
		devicePart: d.pages.part(page), Asked: page.Asked, Now: clock(d.pages.now()),
		WebPushKey: page.WebPushKey, Endpoints: strings.Join(page.WebPushEndpoints, " "),
	}
	for _, request := range page.Requests {
		view.Requests = append(view.Requests, d.pages.viewRequest(request))
	}
	title := "Requests to confirm"
	if count := len(view.Requests); count > 0 {
		title = "(" + strconv.Itoa(count) + ") " + title
	}
	d.pages.renderDevice(w, page, "device_home", title, view)
}

// Request implements [device.Pages].
func (d DevicePages) Request(w http.ResponseWriter, _ *http.Request, page device.Page) {
	view := deviceRequestView{
		devicePart: d.pages.part(page), Request: d.pages.viewRequest(*page.Request),
		Waiting: page.Request.State == backchannel.Waiting, Approve: page.Approve,
	}
	view.ByPasskey = view.Waiting && view.Approve != ""
	switch page.Request.State {
	case backchannel.Approved:
		view.Heading, view.Sentence = "Approved", "This was approved. You can go back to where you began."
	case backchannel.Denied:
		view.Heading, view.Sentence = "Denied", "This was denied. Nothing was allowed."
	case backchannel.Expired:
		view.Heading, view.Sentence = "Too late", "The time for this decision is over. Nothing was allowed."
	default:
		view.Heading, view.Sentence = "Did you ask for this?", "Somebody asks for this in your name. Approve it only if it was you."
	}
	d.pages.renderDevice(w, page, "device_request", view.Heading, view)
}

// Settings implements [device.Pages].
func (d DevicePages) Settings(w http.ResponseWriter, _ *http.Request, page device.Page) {
	if page.Removing != nil {
		view := deviceRemoveView{devicePart: d.pages.part(page), Removing: viewPasskey(*page.Removing), Remove: page.Remove}
		d.pages.renderDevice(w, page, "device_remove", "Remove your last passkey?", view)
		return
	}
	view := deviceSettingsView{devicePart: d.pages.part(page), Fresh: page.Fresh}
	for _, passkey := range page.Passkeys {
		view.Passkeys = append(view.Passkeys, viewPasskey(passkey))
	}
	for _, each := range page.Devices {
		shown := viewDevice(each)
		view.Devices = append(view.Devices, shown)
		if each.Asked {
			view.Asked = append(view.Asked, shown)
		}
	}
	for _, each := range page.Blocked {
		view.Blocked = append(view.Blocked, thingView{
			ID: each.Organisation, Name: viewClient(each.Client).Name, Facts: "Blocked on " + day(each.BlockedAt),
		})
	}
	if page.Code != "" {
		view.Code, view.CodeLifetime = inGroups(page.Code), inWords(page.CodeLifetime)
	}
	d.pages.renderDevice(w, page, "device_settings", "Passkeys and applications", view)
}

func viewDevice(each device.DeviceView) thingView {
	view := thingView{ID: each.ID, Name: plain(each.Name, nameLimit), Facts: facts(each.CreatedAt, each.UsedAt)}
	if each.ByPasskey {
		view.Facts += "; added under a passkey"
	} else {
		view.Facts += "; added under a password, and counts for no more"
	}
	return view
}

func viewPasskey(passkey device.PasskeyView) thingView {
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

// inGroups formats a code in groups of four characters.
func inGroups(code string) string {
	var groups []string
	for ; len(code) > 4; code = code[4:] {
		groups = append(groups, code[:4])
	}
	return strings.Join(append(groups, code), " ")
}

// renderDevice writes a page of the device.
func (p *Pages) renderDevice(w http.ResponseWriter, page device.Page, template, title string, body any) {
	if page.Problem.Code != "" {
		title = "Problem: " + title
	}
	around := frame{Title: title, Scripts: []string{p.base + passkeyScript, p.base + deviceScript}}
	if page.Confirms { // there is something to install
		around.Manifest, around.Icon = p.base+manifestFile, p.base+"/device/icon-192.png"
	}
	p.renderFrame(w, statusOf(page.Problem), template, p.policy.withDevice(p.issuer), body, around)
}
