package pages

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/internal/brand"
)

// bankBrand is a brand with all that there is.
func bankBrand(t testing.TB) Brand {
	t.Helper()
	image := func(name string) *brand.Image {
		read, err := brand.ReadImage(filepath.Join("testdata", "brand", name))
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	return Brand{
		Name: "Harbour Bank", Accent: "#7a1f5c", Zone: zone, Locales: []string{"en", "pt-BR", "ar"},
		Logo: image("logo.svg"), LogoDark: image("logo-dark.svg"),
		HelpURI: "https://bank.example/help", PrivacyURI: "https://bank.example/privacy", AccessibilityURI: "https://bank.example/accessibility",
		Languages: map[string]BrandLanguage{
			"pt-BR": {Name: "Banco do Porto", HelpURI: "https://bank.example/pt/ajuda"}, "ar": {Name: "بنك المرفأ", Logo: image("logo-dark.svg")},
		},
	}
}

type render func(p *Pages, w http.ResponseWriter, r *http.Request)

// everyPage are all pages, in the states in which they look different.
func everyPage() map[string]render {
	signIn := func(change func(*authorize.Interaction)) render {
		in := newInteraction()
		change(&in)
		return func(p *Pages, w http.ResponseWriter, r *http.Request) { p.SignIn(w, r, in) }
	}
	consent := func(in authorize.Interaction) render {
		in.Client.ByLanguage = map[string]map[string]string{"client_name": {"pt": "Orquídea Pagamentos", "ar": "أوركيد للمدفوعات"}}
		for i := range in.Scopes {
			switch in.Scopes[i].Name {
			case "openid":
				in.Scopes[i].Standard = true
			case "accounts":
				in.Scopes[i].Descriptions = map[string]string{"pt-BR": "Ver suas contas e seus saldos", "ar": "الاطلاع على حساباتك وأرصدتها"}
			case "payments":
				in.Scopes[i].Descriptions = map[string]string{"pt-BR": "Preparar pagamentos, que você confirma um a um", "ar": "تجهيز مدفوعات تؤكد كل واحدة منها"}
			}
		}
		return func(p *Pages, w http.ResponseWriter, r *http.Request) { p.Consent(w, r, in) }
	}
	fail := func(failure browser.Failure) render {
		failure.CorrelationID = correlation
		return func(p *Pages, w http.ResponseWriter, r *http.Request) { p.Fail(w, r, failure) }
	}
	onDevice := func(show func(DevicePages, http.ResponseWriter, *http.Request, device.Page), change func(*device.Page)) render {
		page := onDevice()
		change(&page)
		return func(p *Pages, w http.ResponseWriter, r *http.Request) { show(p.Device(), w, r, page) }
	}
	waits := func(state backchannel.State) func(*device.Page) {
		return func(p *device.Page) { p.Request.State = state }
	}
	again := payment()
	again.Problem.Code = browser.AnotherUser
	all := map[string]render{
		"sign-in": signIn(func(*authorize.Interaction) {}),
		"sign-in-problem": signIn(func(in *authorize.Interaction) {
			in.LoginHint, in.Problem = "alice", browser.Problem{Code: browser.WrongPassword, TriesLeft: 2}
		}),
		"sign-in-empty":   signIn(func(in *authorize.Interaction) { in.Problem.Code = browser.NeitherGiven }),
		"sign-in-passkey": signIn(func(in *authorize.Interaction) { in.Passkey = `{"challenge":"AAAA"}` }),
		"sign-in-passkey-only": signIn(func(in *authorize.Interaction) {
			in.Passkey, in.PasskeyOnly = `{"challenge":"AAAA"}`, true
		}),
		"consent": consent(signedIn()), "consent-payment": consent(payment()), "consent-again": consent(again),
		"failure-expired": fail(browser.Failure{Status: http.StatusNotFound, Reason: browser.Expired}),
		"failure-application": fail(browser.Failure{
			Status: http.StatusBadRequest, Code: "invalid_request", Description: "request_uri is unknown; the application has to push a new request",
		}),
		"failure-broken": fail(browser.Failure{Status: http.StatusInternalServerError, Code: "server_error"}),
		"welcome":        func(p *Pages, w http.ResponseWriter, r *http.Request) { p.Welcome(w, r) },
		"device-sign-in": onDevice(DevicePages.SignIn, func(p *device.Page) {
			p.SignedIn, p.Passkey, p.Username, p.Problem.Code = nil, `{"challenge":"AAAA"}`, "alice", browser.WrongPassword
		}),
		"device-home": onDevice(DevicePages.Home, func(p *device.Page) {
			second := *p.Request
			second.Reference, second.Message, second.ExpiresAt = "other", "MINT 1208", harnessTime.Add(20*time.Minute)
			p.Requests, p.Asked = []backchannel.View{*p.Request, second}, true
		}),
		"device-home-empty":       onDevice(DevicePages.Home, func(*device.Page) {}),
		"device-request":          onDevice(DevicePages.Request, func(*device.Page) {}),
		"device-request-password": onDevice(DevicePages.Request, func(p *device.Page) { p.Approve, p.Request.Message = "", "" }),
		"device-request-denied":   onDevice(DevicePages.Request, waits(backchannel.Denied)),
		"device-request-expired":  onDevice(DevicePages.Request, waits(backchannel.Expired)),
		"device-settings": onDevice(DevicePages.Settings, func(p *device.Page) {
			day := harnessTime.AddDate(0, -2, 0)
			p.Fresh, p.Passkey, p.Notice, p.Code, p.CodeLifetime = true, `{"challenge":"AAAA"}`, device.PasskeyAdded, "ABCDEFGHIJKLMNOP", 5*time.Minute
			p.Passkeys = []device.PasskeyView{
				{ID: "a", Name: "Phone", Synced: true, CreatedAt: day, UsedAt: day}, {ID: "b", Name: "Key", CreatedAt: day, ClonedAt: day},
			}
			p.Devices = []device.DeviceView{{ID: "c", Name: "Orchid Confirm", Asked: true, CreatedAt: day}, {ID: "d", Name: "Bank App", ByPasskey: true, CreatedAt: day, UsedAt: day}}
			p.Blocked = []backchannel.Blocked{{Organisation: "o", Client: payment().Client, BlockedAt: day}}
		}),
		"device-settings-first": onDevice(DevicePages.Settings, func(*device.Page) {}),
		"device-remove": onDevice(DevicePages.Settings, func(p *device.Page) {
			p.Removing, p.Remove = &device.PasskeyView{ID: "a", Name: "Phone", CreatedAt: harnessTime}, `{"challenge":"AAAA"}`
		}),
	}
	for name, show := range accountStates() {
		all[name] = show
	}
	return all
}

// languages are those in which every page is looked at.
func languages() []string { return []string{"en", "pt-BR", "ar"} }
