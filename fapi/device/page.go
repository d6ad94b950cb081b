package device

import (
	"net/http"
	"net/url"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
)

// Pages render the pages of a device. Each method writes one page.
type Pages interface {
	// SignIn shows the sign-in page, in place of any page.
	SignIn(w http.ResponseWriter, r *http.Request, page Page)
	// Home lists the pending requests.
	Home(w http.ResponseWriter, r *http.Request, page Page)
	// Request shows one request.
	Request(w http.ResponseWriter, r *http.Request, page Page)
	// Settings shows passkeys and approval apps.
	Settings(w http.ResponseWriter, r *http.Request, page Page)
	browser.ErrorPage
}

// Page is the content of a page.
type Page struct {
	// FormToken is the CSRF token; each form sends it back as the hidden input "form_token". It is valid for this session.
	FormToken string
	// Language is that of the page, and of the details of requests (BCP 47).
	Language string
	// Confirms reports whether backchannel authentication is on. Otherwise there is only the settings page.
	Confirms bool
	// ForAccount reports, on the sign-in page, that it is in place of a page of the user's account.
	ForAccount bool
	// SignedIn is nil on the sign-in page.
	SignedIn *browser.SignedIn
	// Username is the user name of a refused sign-in, as it was sent.
	Username string
	// Passkey holds the options of navigator.credentials.get on the sign-in page, or of navigator.credentials.create in
	// the settings, as JSON; empty when that is not possible.
	Passkey string
	// Problem is why the last form was refused.
	Problem browser.Problem
	// Notice is the result of the last form, or empty.
	Notice NoticeCode

	// Requests are the pending requests, on the home page, the oldest first.
	Requests []backchannel.View
	// Request is the request on its own page.
	Request *backchannel.View
	// Choosing reports that the user has to choose of Request's details before it can be approved, by a form with the action "choose"
	// and the inputs of [display.Offer.Input]. Chosen are those of the form that was sent; the forms of the page send them again.
	Choosing bool
	Chosen   url.Values
	// Approve holds the options of navigator.credentials.get for the approval, as JSON. They are bound to the request as
	// shown, to the user and to the browser. Empty for a user without a passkey, who enters the password. To deny, it is
	// enough to be signed in.
	Approve string

	// Passkeys and Devices are shown in the settings.
	Passkeys []PasskeyView
	Devices  []DeviceView
	// Removing is the last passkey, which the user is about to remove: the page asks again, and says what then. Remove
	// holds the options of navigator.credentials.get for it, as JSON.
	Removing *PasskeyView
	Remove   string
	// Blocked are the organisations of which the user wants no requests, in the settings.
	Blocked []backchannel.Blocked
	// Code is a new one-time code to enrol an approval app, and CodeLifetime how long it is valid.
	Code         string
	CodeLifetime time.Duration
	// Asked reports, on the home page, whether some of them were enrolled before the first passkey and are to be decided about.
	Asked bool
	// Fresh reports whether the session is recent and strong enough to change passkeys and approval apps.
	Fresh bool

	// WebPushKey is the applicationServerKey (RFC 8292 §3.2), on the home page; empty when web push is off.
	// WebPushEndpoints are the push resources of this user's browsers.
	WebPushKey       string
	WebPushEndpoints []string
	// Version changes with the content of the page; /device/events sends it.
	Version string
}

// NoticeCode is the result of a form; pages put it into words.
type NoticeCode string

// The codes.
const (
	PasskeyAdded      NoticeCode = "passkey added"
	PasskeyRemoved    NoticeCode = "passkey removed"
	PasskeyChanged    NoticeCode = "passkey changed"
	DeviceRemoved     NoticeCode = "device removed"
	DevicesRemoved    NoticeCode = "devices removed"
	DevicesKept       NoticeCode = "devices kept"
	ClientBlocked     NoticeCode = "client blocked"
	ClientUnblocked   NoticeCode = "client unblocked"
	BrowserSubscribed NoticeCode = "browser subscribed"
)

// PasskeyView is a passkey in the settings.
type PasskeyView struct {
	// ID is the credential ID in base64url.
	ID, Name string
	// Synced reports whether it may be synced between the user's devices.
	Synced bool
	// UsedAt is zero until the first use, ClonedAt unless a copy was detected, since when the passkey is refused.
	CreatedAt, UsedAt, ClonedAt time.Time
}

// DeviceView is an approval app in the settings.
type DeviceView struct {
	ID, Name string
	// ByPasskey reports whether it was enrolled under a passkey, and may say more than one enrolled under a password.
	ByPasskey bool
	// Asked reports whether the user has to decide what becomes of it: it was enrolled before the first passkey was added.
	Asked bool
	// UsedAt is zero until the first use.
	CreatedAt, UsedAt time.Time
}
