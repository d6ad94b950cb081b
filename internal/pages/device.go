package pages

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/fapi/rar/display"
	"countersign/internal/words"
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
	// Bank is the name of the service.
	Bank string
	// Base is the path of the device's pages, and Account that of the user's account.
	Base, Account string
	Version       string
	Problem       string
	// Notice is the result of the last form, or empty.
	Notice string
	// Passkey are the options of the page's WebAuthn ceremony, or empty.
	Passkey string
	// PasskeyOnly is used by the sign-in page only.
	PasskeyOnly bool
	// Confirms reports whether backchannel authentication is on.
	Confirms bool
	// ForAccount reports that the sign-in leads to the user's account.
	ForAccount bool
}

// deviceHomeView is the list of pending requests.
type deviceHomeView struct {
	devicePart
	Heading  string
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
	// Choosing reports that the user chooses first; Chosen is what was chosen of the request that the page shows.
	Choosing bool
	Chosen   map[string]string
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
	// Claims are the names of single requested claims, in words.
	Claims  []string
	Details []detailView
	// Change is what it does to what the user allowed before, or nil.
	Change *changeView
	// Heading is that of a single one, Sum the same around its amount; Lines are those of each in the list; Allow and Deny are the
	// labels of the answers of a single one.
	Heading, Allow, Deny display.Sentence
	Lines                []display.Sentence
	Sum                  *sumView
	Resources            []string
	// Asked is when it was made, Left the time left to decide it, and Lifetime the lifetime of the grant, or empty.
	Asked, Left, Lifetime string
	// Once reports that it allows one thing at once, so that there is no lifetime.
	Once bool
	// Soon reports whether little time is left.
	Soon bool
}

// soon is when little time is left.
const soon = 3 * time.Minute

func (p *Pages) viewRequest(l *words.Language, request backchannel.View) requestView {
	one := alone(request.Details)
	view := requestView{
		ID: request.Reference, Client: viewClient(l, request.Client), BindingMessage: display.Exact(request.Message),
		Scopes: viewScopes(l, request.Scopes), Claims: viewClaims(l, request.Claims), Change: viewChange(l, request.Change), Details: viewDetails(request.Details, nil, false),
		Heading: one.Heading, Sum: viewSum(one.Heading), Allow: one.Allow, Deny: one.Deny,
		Asked: words.Capital(l.When(request.CreatedAt, p.now())), Left: l.Text("duration.over"),
	}
	for _, detail := range request.Details {
		view.Lines = append(view.Lines, detail.Line)
	}
	for _, resource := range request.ResourceNames {
		view.Resources = append(view.Resources, plain(resource, sentenceLimit))
	}
	view.Once = request.Once()
	if life := (display.Life{For: request.GrantLifetime, Until: request.GrantUntil}); life != (display.Life{}) && !view.Once {
		view.Lifetime, _ = p.lasts(l, life)
	}
	if left := request.ExpiresAt.Sub(p.now()); left > 0 {
		view.Left, view.Soon = l.Text("duration.left", "duration", l.Duration(left), "time", l.Clock(request.ExpiresAt)), left < soon
	}
	return view
}

// part returns the content that all pages share.
func (p *Pages) part(l *words.Language, page device.Page) devicePart {
	part := devicePart{
		FormToken: page.FormToken, Base: p.base + "/device", Account: p.base + accountPath, Version: page.Version, Problem: deviceProblem(l, page.Problem),
		Notice: deviceNotice(l, page.Notice), Passkey: page.Passkey, Confirms: page.Confirms, Bank: p.name(l), ForAccount: page.ForAccount,
	}
	if page.SignedIn != nil {
		part.Username = plain(page.SignedIn.Username, nameLimit)
	}
	return part
}

// deviceProblem describes a problem. It does not say which field of the sign-in form is empty.
func deviceProblem(l *words.Language, problem browser.Problem) string {
	switch problem.Code {
	case browser.NoUsername, browser.NoPassword, browser.NeitherGiven:
		return summary(l, browser.Problem{Code: browser.WrongPassword})
	case browser.NothingChosen:
		return l.Text("problem.nothing_chosen", "deny", l.Text("request.deny"))
	case browser.NotDecidedPassword:
		return l.Text("problem.not_decided_password")
	case browser.NotDecidedPasskey:
		return l.Text("problem.not_decided_passkey")
	case browser.RequestChanged:
		return l.Text("problem.request_changed")
	case browser.SignInAgain:
		return l.Text("problem.sign_in_again")
	case browser.InvalidName:
		return l.Text("problem.name")
	case browser.NotRemoved:
		return l.Text("problem.not_removed")
	case browser.TooManyPasskeys:
		return l.Text("problem.too_many_passkeys")
	case browser.TooManyDevices:
		return l.Text("problem.too_many_devices")
	case browser.NewPasskeyRefused:
		return l.Text("problem.new_passkey")
	}
	return summary(l, problem)
}

// deviceNotice describes the result of a form.
func deviceNotice(l *words.Language, notice device.NoticeCode) string {
	switch notice {
	case device.PasskeyAdded:
		return l.Text("notice.passkey_added")
	case device.PasskeyRemoved:
		return l.Text("notice.passkey_removed")
	case device.PasskeyChanged:
		return l.Text("notice.passkey_changed")
	case device.DeviceRemoved:
		return l.Text("notice.device_removed")
	case device.DevicesRemoved:
		return l.Text("notice.devices_removed")
	case device.DevicesKept:
		return l.Text("notice.devices_kept")
	case device.ClientBlocked:
		return l.Text("notice.blocked")
	case device.ClientUnblocked:
		return l.Text("notice.unblocked")
	case device.BrowserSubscribed:
		return l.Text("notice.subscribed")
	}
	return ""
}

// SignIn implements [device.Pages].
func (d DevicePages) SignIn(w http.ResponseWriter, r *http.Request, page device.Page) {
	l := d.pages.languageOf(r, page.Language, "")
	part := d.pages.part(l, page)
	if plain(page.Username, maxUsername) == page.Username {
		part.Username = page.Username
	}
	d.pages.renderDevice(w, r, page, shown{language: l, page: "device_signin", body: part}, l.Text("signin.title"))
}

// Home implements [device.Pages].
func (d DevicePages) Home(w http.ResponseWriter, r *http.Request, page device.Page) {
	l := d.pages.languageOf(r, page.Language, "")
	view := deviceHomeView{
		devicePart: d.pages.part(l, page), Asked: page.Asked, Now: l.When(d.pages.now(), d.pages.now()), Heading: l.Text("home.nothing"),
		WebPushKey: page.WebPushKey, Endpoints: strings.Join(page.WebPushEndpoints, " "),
	}
	for _, request := range page.Requests {
		view.Requests = append(view.Requests, d.pages.viewRequest(l, request))
	}
	title := l.Text("home.title")
	if count := len(view.Requests); count > 0 {
		title, view.Heading = "("+strconv.Itoa(count)+") "+title, l.Text("home.heading", "count", count)
	}
	d.pages.renderDevice(w, r, page, shown{language: l, page: "device_home", body: view}, title)
}

// Request implements [device.Pages].
func (d DevicePages) Request(w http.ResponseWriter, r *http.Request, page device.Page) {
	l := d.pages.languageOf(r, page.Language, "")
	view := deviceRequestView{
		devicePart: d.pages.part(l, page), Request: d.pages.viewRequest(l, *page.Request),
		Waiting: page.Request.State == backchannel.Waiting, Approve: page.Approve,
	}
	view.Choosing, view.Chosen = page.Choosing, map[string]string{}
	for name := range page.Request.Picks {
		view.Chosen[name] = page.Request.Picks.Get(name)
	}
	if page.Choosing {
		view.Request.Details = viewDetails(page.Request.Details, page.Chosen, page.Problem.Code == browser.NothingChosen)
	}
	view.ByPasskey = view.Waiting && view.Approve != ""
	switch page.Request.State {
	case backchannel.Approved:
		view.Heading, view.Sentence = l.Text("request.approved"), l.Text("request.approved_sentence")
	case backchannel.Denied:
		view.Heading, view.Sentence = l.Text("request.denied"), l.Text("request.denied_sentence")
	case backchannel.Expired:
		view.Heading, view.Sentence = l.Text("request.expired"), l.Text("request.expired_sentence")
	default:
		view.Heading, view.Sentence = l.Text("request.waiting"), l.Text("request.waiting_sentence")
		if len(view.Request.Heading) > 0 {
			view.Heading = view.Request.Heading.String()
		}
	}
	d.pages.renderDevice(w, r, page, shown{language: l, page: "device_request", body: view}, view.Heading)
}

// Settings implements [device.Pages].
func (d DevicePages) Settings(w http.ResponseWriter, r *http.Request, page device.Page) {
	l := d.pages.languageOf(r, page.Language, "")
	if page.Removing != nil {
		view := deviceRemoveView{devicePart: d.pages.part(l, page), Removing: viewPasskey(l, *page.Removing), Remove: page.Remove}
		d.pages.renderDevice(w, r, page, shown{language: l, page: "device_remove", body: view}, l.Text("remove.heading"))
		return
	}
	view := deviceSettingsView{devicePart: d.pages.part(l, page), Fresh: page.Fresh}
	for _, passkey := range page.Passkeys {
		view.Passkeys = append(view.Passkeys, viewPasskey(l, passkey))
	}
	for _, each := range page.Devices {
		thing := viewDevice(l, each)
		view.Devices = append(view.Devices, thing)
		if each.Asked {
			view.Asked = append(view.Asked, thing)
		}
	}
	for _, each := range page.Blocked {
		view.Blocked = append(view.Blocked, thingView{
			ID: each.Organisation, Name: viewClient(l, each.Client).Name, Facts: l.Text("settings.blocked_on", "date", l.Date(each.BlockedAt)),
		})
	}
	if page.Code != "" {
		view.Code, view.CodeLifetime = inGroups(page.Code), l.Duration(page.CodeLifetime)
	}
	d.pages.renderDevice(w, r, page, shown{language: l, page: "device_settings", body: view}, l.Text("settings.heading"))
}

func viewDevice(l *words.Language, each device.DeviceView) thingView {
	how := "settings.by_password"
	if each.ByPasskey {
		how = "settings.by_passkey"
	}
	return thingView{ID: each.ID, Name: plain(each.Name, nameLimit), Facts: l.Text("settings.facts", "facts", facts(l, each.CreatedAt, each.UsedAt), "how", l.Text(how))}
}

func viewPasskey(l *words.Language, passkey device.PasskeyView) thingView {
	how := l.Text("settings.one_device")
	switch {
	case !passkey.ClonedAt.IsZero():
		how = l.Text("settings.cloned", "date", l.Date(passkey.ClonedAt))
	case passkey.Synced:
		how = l.Text("settings.synced")
	}
	return thingView{ID: passkey.ID, Name: plain(passkey.Name, nameLimit), Facts: l.Text("settings.facts", "facts", facts(l, passkey.CreatedAt, passkey.UsedAt), "how", how)}
}

func facts(l *words.Language, added, used time.Time) string {
	if used.IsZero() {
		return l.Text("settings.unused", "date", l.Date(added))
	}
	return l.Text("settings.used", "date", l.Date(added), "used", l.Date(used))
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
func (p *Pages) renderDevice(w http.ResponseWriter, r *http.Request, page device.Page, shown shown, title string) {
	if page.Problem.Code != "" {
		title = shown.language.Text("title.problem", "page", title)
	}
	around := frame{Title: title, Scripts: []string{p.base + passkeyScript, p.base + deviceScript}}
	if page.SignedIn != nil && page.Request == nil {
		around.Class = wide
	}
	if page.Confirms { // there is something to install
		around.Manifest, around.Icon = p.base+manifestFile, p.base+"/device/icon-192.png"
	}
	shown.status, shown.policy = statusOf(page.Problem), p.policy.withDevice(p.issuer)
	p.renderFrame(w, r, shown, around)
}
