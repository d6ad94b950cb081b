package device

import (
	"net/http"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
)

// Pages render the pages of a device. Each method writes one page and decides nothing.
type Pages interface {
	// SignIn is any page for a user who is not signed in.
	SignIn(w http.ResponseWriter, r *http.Request, page Page)
	// Home lists what waits for a decision.
	Home(w http.ResponseWriter, r *http.Request, page Page)
	// Request shows one request.
	Request(w http.ResponseWriter, r *http.Request, page Page)
	// Settings shows passkeys and applications.
	Settings(w http.ResponseWriter, r *http.Request, page Page)
	browser.ErrorPage
}

// Page is what a page of a device shows.
type Page struct {
	// FormToken has to be sent back by each form as the hidden input "form_token". It is valid for this user only.
	FormToken string
	// Confirms reports whether users are asked over the backchannel. Without it there are the settings only.
	Confirms bool
	// SignedIn is nil on the sign-in page.
	SignedIn *browser.SignedIn
	// Username is what was typed as the user name, as it was sent, when a password was not accepted to sign in.
	Username string
	// Passkey is what a script gives to navigator.credentials.get on the sign-in page, or to navigator.credentials.create
	// in the settings, as JSON; empty when that is not possible.
	Passkey string
	// Problem is why the last form was not accepted.
	Problem browser.Problem
	// Notice is what the last form did, or empty.
	Notice NoticeCode

	// Requests are what waits, on the home page, the oldest first.
	Requests []backchannel.View
	// Request is what the page of one request shows.
	Request *backchannel.View
	// Approve and Deny are what a script gives to navigator.credentials.get for either decision, as JSON. They are bound
	// to the request as it is shown, to the user and to the browser. Empty for a user without a passkey, who gives the
	// password instead.
	Approve, Deny string

	// Passkeys and Devices are shown in the settings.
	Passkeys []PasskeyView
	Devices  []DeviceView
	// Code is a one-time code for an application that was just asked for, and CodeLifetime how long it is valid.
	Code         string
	CodeLifetime time.Duration
	// Fresh reports whether the sign-in is recent and strong enough to change what the user confirms with.
	Fresh bool

	// WebPushKey is the key that the browser is to expect messages from (RFC 8292 §3.2, applicationServerKey), on the home
	// page, or empty when none can be sent. WebPushEndpoints are where this user's browsers take messages.
	WebPushKey       string
	WebPushEndpoints []string
	// Version changes with what the page shows; /device/events sends it.
	Version string
}

// NoticeCode says what a form did, for the pages to put into words.
type NoticeCode string

// The codes.
const (
	PasskeyAdded      NoticeCode = "passkey added"
	PasskeyRemoved    NoticeCode = "passkey removed"
	DeviceRemoved     NoticeCode = "device removed"
	BrowserSubscribed NoticeCode = "browser subscribed"
)

// PasskeyView is what a user sees of a passkey.
type PasskeyView struct {
	// ID is the credential ID in base64url.
	ID, Name string
	// Synced reports whether it may be on several devices of the user.
	Synced bool
	// UsedAt is zero until the first use, ClonedAt unless a copy was noticed: then the passkey is refused.
	CreatedAt, UsedAt, ClonedAt time.Time
}

// DeviceView is what a user sees of an application that confirms.
type DeviceView struct {
	ID, Name string
	// UsedAt is zero until the first use.
	CreatedAt, UsedAt time.Time
}
