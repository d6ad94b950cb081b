package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/internal/browsertest"
	"countersign/internal/flowclient"
)

const (
	// both hands off sign-in and consent. The logins reach the second class alone.
	both = "hand_off = \"login-and-consent\"\nacr_values = \"urn:northfold:passkey urn:northfold:password\""
	// accounts are what an application asks to see, of which the customer chooses.
	accounts = `[{"type":"account_information","actions":["list_accounts","read_balances"],` +
		`"accounts":[{"iban":"DE02100100109307118603"},{"iban":"DE02100100109307118604"}]}]`
	// paymentRequest is what an application asks to be paid.
	paymentRequest = `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"1234.50"},"creditorName":"Fernhill Cycles",` +
		`"creditorAccount":{"iban":"DE02100100109307118603"},"remittanceInformationUnstructured":"Order 20816"}]`
)

// refusedWith checks the error with which a browser came back.
func refusedWith(t *testing.T, err error, code string) {
	t.Helper()
	refused, ok := errors.AsType[*flowclient.AuthorizationError](err)
	if !ok || refused.Code != code {
		t.Errorf("the application learns of %v, want %s", err, code)
	}
}

// Covers: KE-41. TestKE41OwnLogin: people sign in and decide at a bank's own login, in a real browser.
func TestKE41OwnLogin(t *testing.T) {
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	for kind := range ownLoginKinds() {
		l := i.ownLogin(t, kind, both)
		server := i.serve()
		l.serve(t)
		testOwnLogin(t, kind, i, a)
		server.signal(syscall.SIGTERM)
		server.wait()
	}
}

func testOwnLogin(t *testing.T, kind string, i *installation, a *application) {
	b := i.browser()
	t.Run("accepts a sign-in and a consent: "+kind, func(t *testing.T) {
		transaction, address := a.begin()
		b.Visit(address)
		accessible(b)
		if got := b.Primary(); len(got) != 1 || got[0] != "Sign in" {
			t.Errorf("the filled buttons are %q", got)
		}
		b.SignIn("sam", "not the password")
		if text, title := b.Text("[role=alert]"), b.Title(); !strings.Contains(text, "do not belong together") || !strings.HasPrefix(title, "Problem: ") {
			t.Errorf("after a wrong password: %q, %q", title, text)
		}
		accessible(b)
		b.SignIn("sam", customerPassword)
		if text := b.Text("main"); !strings.Contains(text, "Signed in as sam") || !strings.Contains(text, "Orchid Budget") || !strings.Contains(text, "See your accounts") {
			t.Errorf("the consent page says %q", text)
		}
		for _, width := range []int64{320, 390, 1280} {
			for _, dark := range []bool{false, true} {
				b.Look(width, 800, dark)
				accessible(b)
			}
		}
		b.Look(1280, 800, false)
		b.Click("#allow")
		if text := b.Text("body"); text != "Back at Orchid Budget" {
			t.Errorf("the application's page says %q", text)
		}
		code, err := a.returned(transaction)
		if err != nil {
			t.Fatal(err)
		}
		_, claims := a.redeem(transaction, code)
		if claims["sub"] != "customer-4711" || claims["acr"] != "urn:northfold:password" || fmt.Sprint(claims["amr"]) != "[pwd]" {
			t.Errorf("the ID token says %v", claims)
		}
	})
	t.Run("accepts a payment, which the page names by amount and payee: "+kind, func(t *testing.T) {
		transaction, address := a.begin(flowclient.Set("authorization_details", paymentRequest), flowclient.Set("prompt", "login consent"))
		b.Visit(address)
		if heading := b.Text("h1"); heading != "Sign in to Northfold Bank" {
			t.Errorf("with prompt=login the page is %q", heading)
		}
		b.SignIn("sam", customerPassword)
		for _, where := range []string{b.Title(), strings.Join(strings.Fields(b.Text("h1")), " "), b.Text("#allow") + " to Fernhill Cycles"} {
			if !strings.Contains(where, "Pay €1,234.50") || !strings.Contains(where, "to Fernhill Cycles") {
				t.Errorf("amount and payee are not in %q", where)
			}
		}
		if text := b.Text("main"); !strings.Contains(text, "DE02 1001 0010 9307 1186 03") || !strings.Contains(text, "Order 20816") {
			t.Errorf("the facts are %q", text)
		}
		accessible(b)
		b.Click("#allow")
		code, err := a.returned(transaction)
		if err != nil {
			t.Fatal(err)
		}
		response, _ := a.redeem(transaction, code)
		if granted := fmt.Sprint(response["authorization_details"]); !strings.Contains(granted, "1234.50") || !strings.Contains(granted, "Fernhill Cycles") {
			t.Errorf("granted is %s", granted)
		}
	})
	t.Run("accepts what is chosen, and nothing else: "+kind, func(t *testing.T) {
		transaction, address := a.begin(flowclient.Set("authorization_details", accounts))
		b.Visit(address)
		if heading, title := b.Text("h1"), b.Title(); heading != "Share account information with Orchid Budget?" || !strings.HasPrefix(title, heading) {
			t.Errorf("the heading is %q, the title %q", heading, title)
		}
		accessible(b)
		b.Click("#allow")
		if text := b.Text("[role=alert]"); !strings.Contains(text, "Nothing is chosen yet") {
			t.Errorf("without a choice the page says %q", text)
		}
		for range 20 {
			if b.Press("\t"); strings.HasPrefix(b.Focused(), "choose-") && strings.HasSuffix(b.Focused(), "-1") {
				break
			}
		}
		b.Press(" ")
		b.Click("#allow")
		code, err := a.returned(transaction)
		if err != nil {
			t.Fatal(err)
		}
		response, _ := a.redeem(transaction, code)
		if granted := fmt.Sprint(response["authorization_details"]); !strings.Contains(granted, "07118604") || strings.Contains(granted, "07118603") {
			t.Errorf("granted is %s", granted)
		}
	})
	t.Run("accepts who is signed in already, and changes who that is: "+kind, func(t *testing.T) {
		_, address := a.begin(flowclient.Set("prompt", "consent"))
		b.Visit(address)
		if text := b.Text("main"); !strings.Contains(text, "Signed in as sam") {
			t.Errorf("the page says %q", text)
		}
		b.Click("#switch")
		if heading := b.Text("h1"); heading != "Sign in to Northfold Bank" {
			t.Errorf("the page is %q", heading)
		}
	})
	t.Run("refuses at the consent: "+kind, func(t *testing.T) {
		transaction, address := a.begin(flowclient.Set("prompt", "login"))
		b.Visit(address)
		b.SignIn("sam", customerPassword)
		b.Click("#deny")
		_, err := a.returned(transaction)
		refusedWith(t, err, "access_denied")
	})
	t.Run("refuses at the sign-in: "+kind, func(t *testing.T) {
		transaction, address := a.begin(flowclient.Set("prompt", "login"))
		b.Visit(address)
		b.Click("#cancel")
		_, err := a.returned(transaction)
		refusedWith(t, err, "access_denied")
	})
	t.Run("refuses an authentication context class that it does not reach: "+kind, func(t *testing.T) {
		transaction, address := a.begin(flowclient.Set("claims", `{"id_token":{"acr":{"essential":true,"values":["urn:northfold:passkey"]}}}`))
		b.Visit(address)
		_, err := a.returned(transaction)
		refusedWith(t, err, "unmet_authentication_requirements")
	})
	b.Done()
}

// Covers: KE-42. TestKE42OwnLoginForms: the forms of a bank's own login work in the session and on the site that they were made
// for, and once.
func TestKE42OwnLoginForms(t *testing.T) {
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	for kind := range ownLoginKinds() {
		l := i.ownLogin(t, kind, both)
		server := i.serve()
		l.serve(t)
		testOwnLoginForms(t, kind, i, a)
		server.signal(syscall.SIGTERM)
		server.wait()
	}
}

func testOwnLoginForms(t *testing.T, kind string, i *installation, a *application) {
	consent := func(t *testing.T) (*visitor, flowclient.Transaction, page) {
		t.Helper()
		v := i.visitor(t)
		transaction, address := a.begin()
		at := v.signIn(v.open(address))
		if !strings.Contains(at.body, `value="allow"`) {
			t.Fatalf("no consent page: %d %s", at.status, at.body)
		}
		return v, transaction, at
	}
	t.Run("accepts a second press as the first: "+kind, func(t *testing.T) {
		v, transaction, at := consent(t)
		allow := url.Values{"form_token": {at.token(t)}, "shown": {at.shown()}, "action": {"allow"}}
		first, second := v.send(at, nil, allow), v.send(at, nil, allow)
		if first.status != http.StatusSeeOther || second.status != http.StatusSeeOther || first.header.Get("Location") != second.header.Get("Location") {
			t.Fatalf("the answers are %d and %d", first.status, second.status)
		}
		v.open(first.header.Get("Location"))
		if _, err := a.returned(transaction); err != nil {
			t.Error(err)
		}
		if late := v.open(at.address.String()); late.status != http.StatusConflict && late.status != http.StatusBadRequest {
			t.Errorf("afterwards the page is %d %s", late.status, late.body)
		}
	})
	t.Run("accepts a cookie and pages that nothing else can use: "+kind, func(t *testing.T) {
		v := i.visitor(t)
		_, address := a.begin()
		at := v.open(address)
		cookie := at.header.Get("Set-Cookie")
		for _, want := range []string{"__Host-northfold=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"} {
			if !strings.Contains(cookie, want) || strings.Contains(cookie, "Domain") {
				t.Errorf("the cookie is %q", cookie)
			}
		}
		policy := at.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %q", policy)
		}
		if at.header.Get("Cache-Control") != "no-store" || at.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("the headers are %v", at.header)
		}
	})
	// open checks that nothing was answered yet.
	open := func(t *testing.T, v *visitor, at page) {
		t.Helper()
		if again := v.open(at.address.String()); again.status != http.StatusOK || !strings.Contains(again.body, `value="allow"`) {
			t.Errorf("the interaction is not open any more: %d %s", again.status, again.body)
		}
	}
	t.Run("refuses a form without its token: "+kind, func(t *testing.T) {
		v, _, at := consent(t)
		for _, token := range []string{"", "x", at.token(t)[1:]} {
			v.send(at, nil, url.Values{"form_token": {token}, "shown": {at.shown()}, "action": {"allow"}})
			open(t, v, at)
		}
	})
	t.Run("refuses a form of another browser and of another interaction: "+kind, func(t *testing.T) {
		v, _, at := consent(t)
		_, _, other := consent(t)
		_, address := a.begin()
		second := v.open(address)
		for _, token := range []string{other.token(t), second.token(t)} {
			v.send(at, nil, url.Values{"form_token": {token}, "shown": {at.shown()}, "action": {"deny"}})
			open(t, v, at)
		}
	})
	t.Run("refuses a form of another site: "+kind, func(t *testing.T) {
		v, _, at := consent(t)
		for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}} {
			sent := v.send(at, header, url.Values{"form_token": {at.token(t)}, "shown": {at.shown()}, "action": {"deny"}})
			if sent.status != http.StatusForbidden {
				t.Errorf("%v: status %d", header, sent.status)
			}
		}
		open(t, v, at)
	})
	t.Run("refuses what was not shown: "+kind, func(t *testing.T) {
		v, _, at := consent(t)
		sent := v.send(at, nil, url.Values{"form_token": {at.token(t)}, "shown": {strings.Repeat("A", 43)}, "action": {"allow"}})
		if sent.status != http.StatusConflict || !strings.Contains(sent.body, "has changed") {
			t.Errorf("%d %s", sent.status, sent.body)
		}
		open(t, v, at)
	})
	t.Run("refuses a cookie that was changed: "+kind, func(t *testing.T) {
		v, _, at := consent(t)
		for _, cookie := range v.Jar.Cookies(at.address) {
			if cookie.Name != "__Host-northfold" {
				continue
			}
			forged := *cookie
			forged.Value, forged.Path, forged.Secure = strings.Replace(cookie.Value, cookie.Value[:4], "eyJA", 1), "/", true
			v.Jar.SetCookies(at.address, []*http.Cookie{&forged})
		}
		if again := v.open(at.address.String()); !strings.Contains(again.body, "Sign in to Northfold Bank") {
			t.Errorf("%d %s", again.status, again.body)
		}
	})
	t.Run("refuses the return in another browser: "+kind, func(t *testing.T) {
		v, transaction, at := consent(t)
		sent := v.send(at, nil, url.Values{"form_token": {at.token(t)}, "shown": {at.shown()}, "action": {"allow"}})
		if elsewhere := i.visitor(t).open(sent.header.Get("Location")); elsewhere.status/100 != 4 {
			t.Errorf("another browser gets %d", elsewhere.status)
		}
		v.open(sent.header.Get("Location"))
		if _, err := a.returned(transaction); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a handle that nobody gave: "+kind, func(t *testing.T) {
		v, _, at := consent(t)
		for _, query := range []string{"", "handle=", "handle=invented", "handle=..%2F..%2Ftoken", "handle=%00"} {
			address := *at.address
			address.RawQuery = query
			if got := v.open(address.String()); got.status/100 != 4 || !strings.Contains(got.body, "<h1>") {
				t.Errorf("%q: %d %s", query, got.status, got.body)
			}
		}
	})
	t.Run("refuses a sixth password: "+kind, func(t *testing.T) {
		v := i.visitor(t)
		_, address := a.begin()
		at := v.open(address)
		send := func(password string) page {
			return v.send(at, nil, url.Values{"form_token": {at.token(t)}, "action": {"sign-in"}, "username": {"sam"}, "password": {password}})
		}
		for range 5 {
			if sent := send("wrong"); sent.status != http.StatusOK {
				t.Fatalf("%d %s", sent.status, sent.body)
			}
		}
		if sent := send(customerPassword); sent.status != http.StatusTooManyRequests {
			t.Errorf("%d %s", sent.status, sent.body)
		}
	})
}

// Covers: KE-43. TestKE43LoginAlone: people sign in at a bank's own login, and decide on the built-in page.
func TestKE43LoginAlone(t *testing.T) {
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	for kind := range ownLoginKinds() {
		l := i.ownLogin(t, kind, "hand_off = \"login\"\nacr_values = \"urn:northfold:password\"")
		server := i.serve()
		l.serve(t)
		b := i.browser()
		t.Run("accepts a sign-in here and a consent there: "+kind, func(t *testing.T) {
			transaction, address := a.begin()
			b.Visit(address)
			b.SignIn("sam", customerPassword)
			if at := b.Location(); !strings.HasPrefix(at, "https://"+i.address+"/interaction/") {
				t.Fatalf("the consent is at %s", at)
			}
			accessible(b)
			b.Click("#allow")
			code, err := a.returned(transaction)
			if err != nil {
				t.Fatal(err)
			}
			if _, claims := a.redeem(transaction, code); claims["sub"] != "customer-4711" {
				t.Errorf("the ID token says %v", claims)
			}
		})
		t.Run("accepts that somebody else decides: "+kind, func(t *testing.T) {
			transaction, address := a.begin(flowclient.Set("prompt", "consent"))
			b.Visit(address)
			b.Click("#switch")
			if text := b.Text("h1"); text != "Go on as sam?" {
				t.Fatalf("the page is %q", text)
			}
			accessible(b)
			b.Click("#switch")
			b.SignIn("sam", customerPassword)
			b.Click("#deny")
			_, err := a.returned(transaction)
			refusedWith(t, err, "access_denied")
		})
		t.Run("refuses without a sign-in: "+kind, func(t *testing.T) {
			transaction, address := a.begin(flowclient.Set("prompt", "login"))
			b.Visit(address)
			b.Click("#cancel")
			_, err := a.returned(transaction)
			refusedWith(t, err, "access_denied")
		})
		b.Done()
		server.signal(syscall.SIGTERM)
		server.wait()
	}
}

// Covers: KE-44. TestKE44ConsentAlone: people sign in on the built-in page, and decide at a bank's own.
func TestKE44ConsentAlone(t *testing.T) {
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	for kind := range ownLoginKinds() {
		l := i.ownLogin(t, kind, `hand_off = "consent"`)
		server := i.serve()
		l.serve(t)
		b := i.browser()
		t.Run("accepts a sign-in there and a consent here: "+kind, func(t *testing.T) {
			transaction, address := a.begin()
			b.Visit(address)
			if at := b.Location(); !strings.HasPrefix(at, "https://"+i.address+"/interaction/") {
				t.Fatalf("the sign-in is at %s", at)
			}
			b.SignIn("alice", i.password())
			if at := b.Location(); !strings.HasPrefix(at, "https://"+l.address+"/") {
				t.Fatalf("the consent is at %s", at)
			}
			accessible(b)
			b.Click("#allow")
			if _, err := a.returned(transaction); err != nil {
				t.Error(err)
			}
		})
		t.Run("refuses here: "+kind, func(t *testing.T) {
			transaction, address := a.begin(flowclient.Set("prompt", "consent"))
			b.Visit(address)
			b.Click("#deny")
			_, err := a.returned(transaction)
			refusedWith(t, err, "access_denied")
		})
		b.Done()
		server.signal(syscall.SIGTERM)
		server.wait()
	}
}

// Covers: KE-45. TestKE45LoginTooLate: who takes too long at a login gets a page, and the application an error.
func TestKE45LoginTooLate(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	for kind := range ownLoginKinds() {
		l := i.ownLogin(t, kind, both+"\nanswer_within = \"10s\"")
		server := i.serve()
		running := l.serve(t)
		b := i.browser()
		t.Run("accepts who looks in time: "+kind, func(t *testing.T) {
			_, address := a.begin()
			if at := i.visitor(t).open(address); at.status != http.StatusOK {
				t.Errorf("%d %s", at.status, at.body)
			}
		})
		t.Run("refuses who does not answer in time: "+kind, func(t *testing.T) {
			transaction, address := a.begin()
			b.Visit(address)
			at := b.Location()
			v := i.visitor(t)
			for deadline := time.Now().Add(30 * time.Second); v.open(at).status == http.StatusOK; time.Sleep(200 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the handle never ends")
				}
			}
			b.SignIn("sam", customerPassword)
			if heading := b.Text("h1"); heading != "This page has expired" {
				t.Errorf("the page is %q", heading)
			}
			accessible(b)
			b.Complaints() // of the status
			b.Visit(address)
			_, err := a.returned(transaction)
			refusedWith(t, err, "access_denied")
		})
		t.Run("refuses while the server is away: "+kind, func(t *testing.T) {
			_, address := a.begin()
			v := i.visitor(t)
			at := v.open(address)
			server.signal(syscall.SIGTERM)
			server.wait()
			if late := v.open(at.address.String()); late.status != http.StatusBadGateway || !strings.Contains(late.body, "does not work at the moment") {
				t.Errorf("%d %s", late.status, late.body)
			}
			for deadline := time.Now().Add(10 * time.Second); !strings.Contains(running.String(), "did not answer as expected"); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the log says %q", running)
				}
			}
		})
	}
}

// accessible looks at the page in the tree of accessibility, and by axe-core.
func accessible(b *browsertest.Browser) {
	b.CheckAccessibility()
	b.CheckAxe()
}
