package consentsource_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/internal/consentsource"
	"countersign/internal/outbound"
	"countersign/store"
)

// Covers: LC-60, LC-61. The bank's consent is read, shown, bound and decided; it is told who decided with which grant; and what it or
// anybody ends is ended here.
func TestLC60Flow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("accepts a consent of the bank", func(t *testing.T) {
		id := w.bank.lodge("c-1", "app", nil)
		w.bank.questions()
		tokens := w.client.TokensFor(naming(id))
		if w.bank.get(id, "status") != "authorised" || w.bank.get(id, "subject") != "sub-alice" {
			t.Errorf("%v by %v", w.bank.get(id, "status"), w.bank.get(id, "subject"))
		}
		var operations []string
		for _, q := range w.bank.questions() {
			operations = append(operations, q["operation"].(string))
			if q["consent_id"] != id || q["client_id"] != "app" || q["correlation_id"] == nil {
				t.Errorf("asked %v", q)
			}
		}
		told := strings.Join(operations, " ")
		if !strings.Contains(told, "read") || !strings.Contains(told, "bind") || strings.Count(told, "decide") != 1 {
			t.Errorf("asked %s", told)
		}
		here, err := w.Store.LodgedConsent(t.Context(), "app", id)
		if err != nil || !here.Elsewhere || here.Status != store.ConsentAuthorised || here.GrantID != w.bank.get(id, "grant_id") || here.Subject != "sub-alice" || len(here.Shown) == 0 {
			t.Errorf("%+v %v", here, err)
		}
		fapitest.WantOK(t, w.client.Refresh(tokens.Text("refresh_token"), nil))
	})
	t.Run("refuses what the bank has ended, at the next refresh", func(t *testing.T) {
		id := w.bank.lodge("c-2", "app", nil)
		tokens := w.client.TokensFor(naming(id))
		w.bank.set(id, "status", "revoked")
		fapitest.WantError(t, w.client.Refresh(tokens.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a consent of another client, and one that there is not", func(t *testing.T) {
		foreign := w.bank.lodge("c-3", "another", nil)
		fapitest.TryAll(t, w.client.Push,
			fapitest.Bad("another client's", naming(foreign), 400, "invalid_request"), fapitest.Bad("an unknown one", naming("c-0"), 400, "invalid_request"))
	})
	t.Run("refuses for the user, and tells the bank", func(t *testing.T) {
		id := w.bank.lodge("c-4", "app", nil)
		w.User.Does("deny")
		defer w.User.Does("allow")
		fapitest.WantRedirectError(t, w.client.AuthorizeIn(w.Browser(), naming(id)), "access_denied")
		if w.bank.get(id, "status") != "rejected" {
			t.Errorf("%v", w.bank.get(id, "status"))
		}
	})
	t.Run("accepts that a consent ends, here at once and at the bank", func(t *testing.T) {
		id := w.bank.lodge("c-5", "app", nil)
		tokens := w.client.TokensFor(naming(id))
		source := w.Config.Consents.Source
		ended, err := source.Revoke(t.Context(), consent.Revocation{ClientID: "app", ID: id, By: store.RevokedByUser, Subject: "sub-alice"})
		if err != nil || ended.Status != store.ConsentRevoked || w.bank.get(id, "status") != "revoked" || w.bank.get(id, "ended_by") != "user" {
			t.Errorf("%+v %v, at the bank %v", ended, err, w.bank.get(id, "status"))
		}
		fapitest.WantError(t, w.client.Refresh(tokens.Text("refresh_token"), nil), 400, "invalid_grant")
		if _, err := source.Revoke(t.Context(), consent.Revocation{ClientID: "app", ID: id, By: store.RevokedByUser}); !errors.Is(err, consent.ErrState) {
			t.Errorf("again: %v", err)
		}
	})
	t.Run("accepts that one ends while the bank is away", func(t *testing.T) {
		id := w.bank.lodge("c-6", "app", nil)
		tokens := w.client.TokensFor(naming(id))
		w.bank.away("revoke")
		defer w.bank.answers(nil)
		if _, err := w.Config.Consents.Source.Revoke(t.Context(), consent.Revocation{ClientID: "app", ID: id, By: store.EndedByBank}); err != nil {
			t.Error(err)
		}
		fapitest.WantError(t, w.client.Refresh(tokens.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("accepts no consent API of its own", func(t *testing.T) {
		if r := w.client.Post("/open-banking/v4.0/aisp/account-access-consents", map[string][]string{}, nil); r.Status != 404 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: LC-62. While the bank does not answer, nothing is granted and nothing is consumed: 503 with Retry-After, and all goes on
// when it is back.
func TestLC62Outage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantAway := func(t *testing.T, r fapitest.Reply) {
		t.Helper()
		fapitest.WantError(t, r, 503, "temporarily_unavailable")
		if r.Header.Get("Retry-After") == "" {
			t.Errorf("%v", r.Header)
		}
	}
	t.Run("refuses to push", func(t *testing.T) {
		id := w.bank.lodge("c-1", "app", nil)
		w.bank.away("read")
		wantAway(t, w.client.Push(naming(id)))
		w.bank.answers(nil)
		if r := w.client.Push(naming(id)); r.Status != 201 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses to decide, and grants nothing", func(t *testing.T) {
		id := w.bank.lodge("c-2", "app", nil)
		w.bank.answers(func(rw http.ResponseWriter, operation string, given object) {
			if operation == "decide" {
				given["consent"].(object)["status"] = "awaiting"
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			write(rw, given)
		})
		pushed := w.client.Push(naming(id))
		_, body, sentTo := w.Browser().Visit(w.AuthorizeURL("app", pushed.Text("request_uri")))
		if sentTo != nil && sentTo.Query().Get("code") != "" {
			t.Errorf("sent to %s", sentTo)
		}
		w.bank.answers(nil)
		if _, err := w.Store.LodgedConsent(t.Context(), "app", id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v; %s", err, body)
		}
	})
	t.Run("refuses to redeem and to refresh, and consumes nothing", func(t *testing.T) {
		w.Clock.Advance(time.Minute)
		id := w.bank.lodge("c-3", "app", nil)
		code := w.client.AuthorizeIn(w.Browser(), naming(id)).Get("code")
		w.bank.away("read")
		wantAway(t, w.client.Redeem(code, nil))
		w.bank.answers(nil)
		w.Clock.Advance(5 * time.Second)
		tokens := w.client.Redeem(code, nil)
		fapitest.WantOK(t, tokens)
		w.bank.away("read")
		wantAway(t, w.client.Refresh(tokens.Text("refresh_token"), nil))
		w.bank.answers(nil)
		fapitest.WantOK(t, w.client.Refresh(tokens.Text("refresh_token"), nil))
	})
	t.Run("refuses at once after five failures", func(t *testing.T) {
		id := w.bank.lodge("c-4", "app", nil)
		w.bank.away("read")
		for range 6 {
			wantAway(t, w.client.Push(naming(id)))
		}
		asked := len(w.bank.questions())
		wantAway(t, w.client.Push(naming(id)))
		if more := len(w.bank.questions()); more != 0 || asked < 5 {
			t.Errorf("asked %d and %d times", asked, more)
		}
	})
	t.Run("accepts requests once it is back, and says so once", func(t *testing.T) {
		id := w.bank.lodge("c-5", "app", nil)
		w.bank.answers(nil)
		w.Clock.Advance(time.Minute)
		if r := w.client.Push(naming(id)); r.Status != 201 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		if logs := w.Logs.String(); strings.Count(logs, "consent source answers again") != 1 || !strings.Contains(logs, "consent source gave no answer") {
			t.Error(logs)
		}
	})
}

// Covers: LC-63. A source that lies grants nothing.
func TestLC63Lies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.bank.lodge("other", "app", nil)
	for name, lie := range map[string]func(operation string, given object) object{
		"another consent":           func(string, object) object { return object{"outcome": "ok", "consent": w.bank.consents[other]} },
		"another client's consent":  func(_ string, given object) object { return changed(given, "client_id", "another") },
		"a consent without content": func(_ string, given object) object { return changed(given, "shown", nil) },
		"no outcome":                func(_ string, given object) object { return object{"consent": given["consent"]} },
		"a list":                    func(string, object) object { return object{"outcome": []any{}} },
		"a decision that is not kept": func(operation string, given object) object {
			if operation == "decide" {
				return changed(given, "status", "awaiting")
			}
			return given
		},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			id := w.bank.lodge(strings.ReplaceAll(name, " ", "-"), "app", nil)
			w.bank.answers(func(rw http.ResponseWriter, operation string, given object) { write(rw, lie(operation, given)) })
			defer w.bank.answers(nil)
			if pushed := w.client.Push(naming(id)); pushed.Status == 201 {
				_, _, sentTo := w.Browser().Visit(w.AuthorizeURL("app", pushed.Text("request_uri")))
				if sentTo != nil && sentTo.Query().Get("code") != "" {
					t.Errorf("sent to %s", sentTo)
				}
			} else {
				fapitest.WantError(t, pushed, 503, "temporarily_unavailable")
			}
			if _, err := w.Store.LodgedConsent(t.Context(), "", id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("kept: %v", err)
			}
		})
	}
}

func changed(given object, name string, value any) object {
	one := object{}
	for key, held := range given["consent"].(object) {
		one[key] = held
	}
	one[name] = value
	return object{"outcome": given["outcome"], "consent": one}
}

// Covers: LC-64. What is asked is what the contract describes, its examples are what it describes, and what it refuses as an answer
// is no answer.
func TestLC64Contract(t *testing.T) {
	t.Parallel()
	contract := fapitest.ReadContract(t, "consents-v1.yaml")
	question, answer := contract.Schema(t, "Question"), contract.Schema(t, "Answer")
	w := newWorld(t)
	t.Run("accepts every question", func(t *testing.T) {
		id := w.bank.lodge("c-1", "app", nil)
		w.client.TokensFor(naming(id))
		source := w.Config.Consents.Source
		source.Undo(t.Context(), consent.Decision{Consent: consent.Consent{ID: id, ClientID: "app", Version: 1}, GrantID: "g", Subject: "s", At: time.Now(), EndsAt: time.Now()})
		if _, err := source.Revoke(t.Context(), consent.Revocation{ID: id, By: store.EndedByTime, Reason: "over"}); err != nil {
			t.Error(err)
		}
		operations := map[string]bool{}
		for _, asked := range w.bank.questions() {
			operations[asked["operation"].(string)] = true
			delete(asked, "operation")
			if err := question.Validate(any(asked)); err != nil {
				t.Errorf("%v: %v", asked, err)
			}
		}
		paths := contract["paths"].(object)
		for path := range paths {
			if !operations[strings.TrimPrefix(path, "/")] {
				t.Errorf("%s was not asked", path)
			}
		}
		if len(operations) != len(paths) {
			t.Errorf("asked %v", operations)
		}
	})
	t.Run("accepts its own examples", func(t *testing.T) {
		components := contract["components"].(object)
		examples := func(group, name string) object {
			content := components[group].(object)[name].(object)["content"].(object)
			return content["application/json"].(object)["examples"].(object)
		}
		for name, example := range examples("requestBodies", "Question") {
			if err := question.Validate(example.(object)["value"]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, example := range examples("responses", "Answer") {
			if err := answer.Validate(example.(object)["value"]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	for name, one := range map[string]struct {
		member string
		value  any
		good   bool
	}{
		"an end":                {"ends_at", "2099-01-01T00:00:00Z", true},
		"hints":                 {"hints", object{"cpf": "1"}, true},
		"another member":        {"colour", 7.0, true},
		"no kind":               {"kind", "", false},
		"another status":        {"status", "asleep", false},
		"a version of zero":     {"version", 0.0, false},
		"a text to show":        {"shown", "x", false},
		"nothing to show":       {"shown", object{}, false},
		"a time in words":       {"created_at", "now", false},
		"an empty hint":         {"hints", object{"cpf": ""}, false},
		"an empty scope":        {"scopes", []any{""}, false},
		"somebody who ended it": {"ended_by", "me", false},
	} {
		title := map[bool]string{true: "accepts ", false: "refuses "}[one.good] + name + ", as the contract does"
		t.Run(title, func(t *testing.T) {
			id := w.bank.lodge("c "+name, "app", func(o object) { o[one.member] = one.value })
			_, err := w.Config.Consents.Source.Read(t.Context(), "app", id)
			wellFormed := answer.Validate(any(object{"outcome": "ok", "consent": any(w.bank.consents[id])}))
			if (err == nil) != one.good || (wellFormed == nil) != one.good {
				t.Errorf("%v; the contract: %v", err, wellFormed)
			}
		})
	}
}

// Covers: LC-64. The source is called with mutual TLS, where the operator says, and nowhere else.
func TestLC64Configuration(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	t.Run("accepts an address with a slash at its end", func(t *testing.T) {
		config := b.config(t, nil, time.Now)
		config.Address += "/"
		source, err := consentsource.New(config)
		if err != nil {
			t.Fatal(err)
		}
		b.lodge("c", "app", nil)
		if _, err := source.Read(context.Background(), "app", "c"); err != nil {
			t.Error(err)
		}
	})
	for name, one := range map[string]struct {
		change func(*consentsource.Config)
		text   string
	}{
		"an address that is not https": {func(c *consentsource.Config) { c.Address = "http://bank.example" }, "consents.source"},
		"an address with a query":      {func(c *consentsource.Config) { c.Address += "?a=b" }, "consents.source"},
		"a private address":            {func(c *consentsource.Config) { c.Address = "https://10.1.2.3" }, "consents.source_networks"},
		"no certificate":               {func(c *consentsource.Config) { c.Policy.Certificate = nil }, "consents.source_certificate_file"},
		"a network that is everything": {func(c *consentsource.Config) { c.Policy.Networks = append(c.Policy.Networks, everything) }, "consents.source_networks"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			config := b.config(t, nil, time.Now)
			one.change(&config)
			if _, err := consentsource.New(config); err == nil || !strings.Contains(err.Error(), one.text) {
				t.Errorf("%v, want %s", err, one.text)
			}
		})
	}
	t.Run("refuses a bank that shows another certificate", func(t *testing.T) {
		config := b.config(t, nil, time.Now)
		config.Policy.Roots = nil
		source, err := consentsource.New(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.Read(t.Context(), "app", "c")
		failure, ok := errors.AsType[*consentsource.Error](err)
		if !ok || failure.RetryAfter() <= 0 {
			t.Error(err)
		}
		if _, ok := errors.AsType[*outbound.Error](err); !ok {
			t.Error(err)
		}
	})
}

var everything = netip.MustParsePrefix("0.0.0.0/0")

// TestUndoLogged: a decision that could not be taken back is logged with its consent each time, also when the bank is left alone and was
// not asked.
func TestUndoLogged(t *testing.T) {
	t.Parallel()
	b, log := newBank(t), &fapitest.LogBuffer{}
	config := b.config(t, nil, time.Now)
	config.Log = slog.New(slog.NewJSONHandler(log, nil))
	source, err := consentsource.New(config)
	if err != nil {
		t.Fatal(err)
	}
	b.away("undo")
	id := b.lodge("c-1", "app", nil)
	const times = 7
	for range times {
		source.Undo(t.Context(), consent.Decision{Consent: consent.Consent{ID: id, ClientID: "app", Version: 1}, GrantID: "g", Subject: "s", At: time.Now()})
	}
	if asked := len(b.questions()); asked >= times {
		t.Errorf("asked %d times", asked)
	}
	if logged := strings.Count(log.String(), `"consent source did not take a decision back"`); logged != times || !strings.Contains(log.String(), `"consent_id":"c-1"`) {
		t.Errorf("logged %d times: %s", logged, log)
	}
}
