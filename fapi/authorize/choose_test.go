package authorize_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"countersign/fapi/authorize"
	"countersign/fapi/event"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/tokens"
)

// keeping is formInteractor that keeps what it showed last.
type keeping struct {
	formInteractor
	last *atomic.Pointer[authorize.Interaction]
}

func (k keeping) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	k.last.Store(&in)
	k.formInteractor.Interact(w, r, in, actions)
}

// chooser is a world whose interactor keeps what it showed, and a client of it.
func chooser(t *testing.T) (w *fapitest.World, c, api *fapitest.Client, last *atomic.Pointer[authorize.Interaction]) {
	t.Helper()
	last = &atomic.Pointer[authorize.Interaction]{}
	w, _ = fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.Interactor = keeping{last: last} }, fapitest.WithAuditChain)
	return w, w.Register("client-1", fapitest.AllScopes), w.ResourceServer("rs-1", w.Issuer), last
}

// asks opens the page of a request with details, signed in.
func asks(t *testing.T, w *fapitest.World, c *fapitest.Client, b *fapitest.Browser, details ...string) (interaction, token string) {
	t.Helper()
	pushed := c.Push(fapitest.Set("authorization_details", "["+strings.Join(details, ",")+"]"))
	if pushed.Status != http.StatusCreated {
		t.Fatalf("%d %s", pushed.Status, pushed.Raw)
	}
	return begin(t, b, w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
}

// allow sends the form of a page with what was chosen.
func allow(t *testing.T, b *fapitest.Browser, interaction, token string, chosen url.Values) (status int, to *url.URL, body string) {
	t.Helper()
	form := url.Values{"form_token": {token}, "decision": {"allow"}}
	for name, values := range chosen {
		form[name] = values
	}
	response, err := fapitest.NoRedirects(b).Post(interaction, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to, err = response.Location(); err != nil {
		to = nil
	}
	return response.StatusCode, to, string(raw)
}

// Covers: KC-15. The server grants what the user chose of a list, and nothing without a choice, nor more than was asked.
func TestKC15OnlyWhatWasChosen(t *testing.T) {
	t.Parallel()
	w, c, api, _ := chooser(t)
	b := w.Browser()
	t.Run("accepts a part of the accounts, and one account to pay from", func(t *testing.T) {
		interaction, token := asks(t, w, c, b, fapitest.ThreeAccounts, fapitest.TwoToPayFrom)
		status, to, body := allow(t, b, interaction, token, url.Values{
			"choose.0./accounts.2": {"2"}, "choose.0./accounts.0": {"0"}, "choose.1./debtorAccounts": {"1"},
		})
		if to == nil || to.Query().Get("code") == "" {
			t.Fatalf("%d %v %s", status, to, body)
		}
		want := `[{"accounts":["DE02100100109307118603","GB33BUKB20201555555555"],"actions":["list_accounts"],"type":"account_information"},` +
			`{"creditorName":"Merchant A","debtorAccounts":[{"name":"Household","number":"7730"}],"instructedAmount":{"amount":"123.50","currency":"EUR"},"type":"payment_initiation"}]`
		issued := c.Redeem(to.Query().Get("code"), nil)
		fapitest.WantOK(t, issued)
		for place, got := range map[string]any{
			"response": issued.Body["authorization_details"], "token": fapitest.UnverifiedClaims(t, issued.Text("access_token"))["authorization_details"],
			"introspection": api.Introspect(issued.Text("access_token"), nil).Body["authorization_details"],
			"refresh":       c.Refresh(issued.Text("refresh_token"), nil).Body["authorization_details"],
		} {
			if diff := cmp.Diff(want, fapitest.JSON(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", place, diff)
			}
		}
		// The client cannot get back what was not chosen.
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), fapitest.Set("authorization_details", "["+fapitest.ThreeAccounts+"]")), 400, "invalid_authorization_details")
	})
	for name, chosen := range map[string]url.Values{
		"nothing":                     {},
		"nothing of the second":       {"choose.0./accounts.0": {"0"}},
		"nothing but an empty answer": {"choose.0./accounts.0": {""}, "choose.1./debtorAccounts": {"0"}},
	} {
		t.Run("refuses "+name+" and shows the page again", func(t *testing.T) {
			interaction, token := asks(t, w, c, b, fapitest.ThreeAccounts, fapitest.TwoToPayFrom)
			status, to, body := allow(t, b, interaction, token, chosen)
			if status != http.StatusSeeOther || to == nil || to.String() != interaction {
				t.Fatalf("%d %v %s", status, to, body)
			}
			// The request is still open.
			if _, to, _ := allow(t, b, interaction, token, url.Values{"choose.0./accounts.0": {"0"}, "choose.1./debtorAccounts": {"0"}}); to == nil || to.Query().Get("code") == "" {
				t.Errorf("sent to %v", to)
			}
		})
	}
	for name, chosen := range map[string]url.Values{
		"an account that was not asked for": {"choose.0./accounts.3": {"3"}, "choose.1./debtorAccounts": {"0"}},
		"a place past the list":             {"choose.0./accounts.0": {"7"}, "choose.1./debtorAccounts": {"0"}},
		"another list":                      {"choose.0./accounts.0": {"0"}, "choose.0./actions.0": {"0"}, "choose.1./debtorAccounts": {"0"}},
		"another object":                    {"choose.0./accounts.0": {"0"}, "choose.1./debtorAccounts": {"0"}, "choose.2./accounts.0": {"0"}},
		"two of one":                        {"choose.0./accounts.0": {"0"}, "choose.1./debtorAccounts": {"0", "1"}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			interaction, token := asks(t, w, c, b, fapitest.ThreeAccounts, fapitest.TwoToPayFrom)
			if status, to, body := allow(t, b, interaction, token, chosen); status != http.StatusBadRequest || to != nil {
				t.Errorf("%d %v %s", status, to, body)
			}
		})
	}
	t.Run("refuses to allow without a form", func(t *testing.T) {
		hasty, _ := fapitest.NewFullWorld(t) // its interactor allows at once
		c := hasty.Register("client-1", fapitest.AllScopes)
		b := hasty.Browser()
		b.HTTP.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
			if len(via) > 5 {
				return http.ErrUseLastResponse
			}
			return nil
		}
		response, err := b.HTTP.Get(hasty.AuthorizeURL(c.ID, c.Push(fapitest.Set("authorization_details", "["+fapitest.ThreeAccounts+"]")).Text("request_uri")))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if to, err := response.Location(); err != nil || !strings.HasPrefix(to.String(), hasty.Issuer+"/interaction/") {
			t.Errorf("sent to %v, %v", to, err)
		}
	})
}

// anyDetails draws authorization_details of the tests' types, with lists to choose from.
func anyDetails(t *rapid.T) []string {
	var details []string
	text := rapid.StringMatching(`[A-Za-z0-9 <>&"é]{1,12}`)
	for range rapid.IntRange(1, 3).Draw(t, "objects") {
		object := map[string]any{}
		if rapid.Bool().Draw(t, "payment") {
			object["type"], object["creditorName"] = "payment_initiation", text.Draw(t, "payee")
			object["instructedAmount"] = map[string]string{"amount": rapid.StringMatching(`[1-9][0-9]{0,4}\.[0-9]{2}`).Draw(t, "amount"), "currency": rapid.SampledFrom([]string{"EUR", "USD", "JPY"}).Draw(t, "currency")}
			var from []any
			for range rapid.IntRange(0, 4).Draw(t, "accounts") {
				from = append(from, map[string]string{"name": text.Draw(t, "name"), "number": rapid.StringMatching(`[0-9]{4,8}`).Draw(t, "number")})
			}
			if from != nil {
				object["debtorAccounts"] = from
			}
		} else {
			object["type"] = "account_information"
			object["actions"] = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"list_accounts", "read_balances", "read_transactions"}), 1, 3, rapid.ID).Draw(t, "actions")
			if rapid.Bool().Draw(t, "with accounts") {
				object["accounts"] = rapid.SliceOfN(text, 1, 6).Draw(t, "accounts")
			}
		}
		raw, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		details = append(details, string(raw))
	}
	return details
}

// Covers: KC-16. What was shown is what is stored and what the token says: with the digest of the request in the page, of what was
// allowed in the grant, and the same lines from page, token and introspection.
func TestKC16ShownStoredGranted(t *testing.T) {
	t.Parallel()
	w, c, api, last := chooser(t)
	b := w.Browser()
	types, err := rar.NewTypes(fapitest.DetailTypes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	t.Run("accepts whatever is asked and chosen", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) {
			if checked++; checked > 30 { // each is a whole flow
				return
			}
			interaction, token := asks(t, w, c, b, anyDetails(r)...)
			shown := last.Load().Details
			chosen, want := url.Values{}, slices.Clone(shown)
			for object := range want {
				want[object] = choose(r, object, want[object], chosen)
			}
			var to *url.URL
			var body string
			events := w.NewEvents(t, func() { _, to, body = allow(t, b, interaction, token, chosen) })
			if to == nil || to.Query().Get("code") == "" {
				r.Fatalf("%v %s", to, body)
			}
			issued := c.Redeem(to.Query().Get("code"), nil)
			fapitest.WantOK(t, issued)
			access := issued.Text("access_token")
			if len(events) != 2 || events[0].Detail["event"] != event.ConsentDecided || events[1].Detail["event"] != event.GrantMade {
				r.Fatalf("recorded %+v", events)
			}
			for place, said := range map[string]any{
				"response": issued.Body["authorization_details"], "token": fapitest.UnverifiedClaims(t, access)["authorization_details"],
				"introspection": api.Introspect(access, nil).Body["authorization_details"],
			} {
				raw, err := json.Marshal(said)
				if err != nil {
					r.Fatal(err)
				}
				details, err := types.Read(string(raw), []string{"payment_initiation", "account_information"})
				if err != nil {
					r.Fatal(err)
				}
				views, err := details.View(types, last.Load().Language, last.Load().Client.Asker())
				if err != nil {
					r.Fatal(err)
				}
				if diff := cmp.Diff(lines(want), lines(views)); diff != "" {
					r.Fatalf("%s says other than was chosen (-want +got):\n%s", place, diff)
				}
				digest := tokens.Detail{Details: details}.DigestFor(strings.Fields(issued.Text("scope")))
				if decided, made := events[0].Detail["request_digest"], events[1].Detail["request_digest"]; decided != digest || made != digest {
					r.Fatalf("decided %s, granted %s, and %s says %s", decided, made, place, digest)
				}
			}
		})
	})
}

// choose chooses of a view at random, and returns its lines with only that.
func choose(t *rapid.T, object int, view display.View, form url.Values) display.View {
	groups := slices.Clone(view.Groups)
	for g := range groups {
		groups[g].Lines = slices.Clone(groups[g].Lines)
		for i, line := range groups[g].Lines {
			if line.Choose == "" {
				continue
			}
			offer := line.Offer()
			kept := []int{rapid.IntRange(0, offer.Options-1).Draw(t, "chosen")}
			if line.Choose == display.Some {
				for option := range offer.Options {
					if rapid.Bool().Draw(t, "also") {
						kept = append(kept, option)
					}
				}
			}
			slices.Sort(kept)
			groups[g].Lines[i].Items = nil
			for _, option := range slices.Compact(kept) {
				form.Set(offer.Input(object, option), strconv.Itoa(option))
				groups[g].Lines[i].Items = append(groups[g].Lines[i].Items, line.Items[option])
			}
		}
	}
	view.Groups = groups
	return view
}

// lines are what a person reads of details, each value on its own, in the order of their texts: a list with one entry is read as a value.
func lines(views []display.View) []string {
	var all []string
	for i, view := range views {
		at := strconv.Itoa(i) + "|"
		all = append(all, at+view.Heading.String())
		for _, group := range view.Groups {
			for _, line := range group.Lines {
				if len(line.Items) == 0 {
					all = append(all, at+line.Value)
				}
				for _, item := range line.Items {
					all = append(all, at+item.Label)
					for _, further := range item.Lines {
						all = append(all, at+further.Value)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return all
}
