package adminconsole

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/internal/audit"
	"countersign/store"
)

// everyPage are the addresses of all pages, with something on each.
func everyPage(w *world) map[string]string {
	return map[string]string{
		"overview": "/console/", "found": "/console/search?q=nothing-has-this", "refused": "/console/refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55", "refusals": "/console/refusals",
		"client": "/console/client?id=orchid-budget", "client_hostile": link("client", "id", hostileID), "consent_payment": "/console/consent?id=consent-payment-1",
		"consent_revoked": "/console/consent?id=consent-accounts-1", "consent_awaiting": link("consent", "id", hostile), "grant": "/console/grant?id=grant-payment-1",
		"person": "/console/person?id=sub-anna-0001", "audit": "/console/audit", "audit_person": "/console/audit?about=sub-anna-0001",
		"entry": "/console/entry?chain=a-2&n=1", "entry_hostile": "/console/entry?chain=a-2&n=2", "refused_hostile": "/console/refused?id=refused-121",
		"refusals_filtered": link("refusals", "client", hostile, "endpoint", hostile, "rule", hostile), "problem": "/console/consent?id=nothing",
	}
}

// Covers: NM-61. Whoever has a role of the console may look, by GET alone; nobody else sees anything.
func TestNM61Roles(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for _, operator := range []string{"sample.reader", "sample.manager", "sample.officer"} {
		t.Run("accepts "+operator, func(t *testing.T) {
			for name, path := range everyPage(w) {
				page := w.get(operator, path)
				if want := map[bool]int{true: 404, false: 200}[name == "problem"]; page.status != want || !strings.Contains(page.body, operator) {
					t.Errorf("%s: %d", path, page.status)
				}
			}
		})
	}
	for _, operator := range []string{"sample.nobody", "a.stranger"} {
		t.Run("refuses "+operator, func(t *testing.T) {
			w.viewed()
			for _, path := range everyPage(w) {
				page := w.get(operator, path)
				if page.status != http.StatusForbidden || strings.Contains(page.body, "orchid") || strings.Contains(page.body, "anna") || strings.Contains(page.body, `name="q"`) {
					t.Errorf("%s: %d, %s", path, page.status, page.body)
				}
			}
			if looks := w.viewed(); len(looks) != 0 {
				t.Errorf("recorded %q", looks)
			}
		})
	}
	t.Run("refuses whoever has no certificate", func(t *testing.T) {
		client := w.client("sample.reader")
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = nil
		if response, err := client.Get(w.server.URL + "/console/"); err == nil {
			response.Body.Close()
			t.Error(response.Status)
		}
	})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		t.Run("refuses "+method, func(t *testing.T) {
			for _, path := range everyPage(w) {
				if page := w.send("sample.officer", method, path, nil); page.status != http.StatusMethodNotAllowed {
					t.Errorf("%s: %d", path, page.status)
				}
			}
		})
	}
	t.Run("refuses another site that asks in secret", func(t *testing.T) {
		w.viewed()
		page := w.send("sample.officer", http.MethodGet, "/console/person?id=sub-anna-0001", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"image"}})
		if page.status != http.StatusForbidden || strings.Contains(page.body, "Anna") || len(w.viewed()) != 0 {
			t.Errorf("%d", page.status)
		}
	})
	t.Run("refuses to fetch in advance", func(t *testing.T) {
		page := w.send("sample.officer", http.MethodGet, "/console/person?id=sub-anna-0001", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Dest": {"document"}, "Sec-Purpose": {"prefetch;prerender"}})
		if page.status != http.StatusForbidden || len(w.viewed()) != 0 {
			t.Errorf("%d", page.status)
		}
	})
	t.Run("refuses to be led to somebody's data unasked", func(t *testing.T) {
		for _, path := range []string{"/console/person?id=sub-anna-0001", "/console/consent?id=consent-payment-1", "/console/audit?about=sub-anna-0001", "/console/search?q=anna.lindqvist"} {
			page := w.send("sample.officer", http.MethodGet, path, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"document"}})
			if page.status != http.StatusOK || !strings.Contains(page.body, "Another site led you") || !strings.Contains(page.body, `<a href="`+html.EscapeString(path)+`">Look</a>`) ||
				strings.Contains(page.body, "Lindqvist") || len(w.viewed()) != 0 {
				t.Errorf("%s: %d %s", path, page.status, page.body)
			}
		}
	})
	t.Run("accepts a link from another site", func(t *testing.T) {
		page := w.send("sample.officer", http.MethodGet, "/console/refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"document"}})
		if page.status != http.StatusOK {
			t.Errorf("%d", page.status)
		}
	})
}

// Covers: NM-62. One field finds what an identifier is of: a refused request, a client, a consent, a grant, a person.
func TestNM62Search(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for query, want := range map[string]string{
		"6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55": "/console/refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55", "orchid-budget": "/console/client?id=orchid-budget", " consent-payment-1 ": "/console/consent?id=consent-payment-1",
		"grant-payment-1": "/console/grant?id=grant-payment-1", "sub-anna-0001": "/console/person?id=sub-anna-0001", "anna.lindqvist": "/console/person?id=sub-anna-0001",
		hostileID: link("client", "id", hostileID), "": "/console/",
	} {
		t.Run("accepts "+query, func(t *testing.T) {
			page := w.get("sample.officer", "/console/search?q="+url.QueryEscape(query))
			if page.status != http.StatusSeeOther || page.header.Get("Location") != want {
				t.Fatalf("%d to %q, want %q", page.status, page.header.Get("Location"), want)
			}
			w.shows("sample.officer", want)
		})
	}
	t.Run("accepts what several things are called", func(t *testing.T) {
		w.must(w.store.PutUser(t.Context(), store.User{Subject: "sub-other", Username: "orchid-budget", CreatedAt: noon, UpdatedAt: noon}))
		body := w.shows("sample.officer", "/console/search?q=orchid-budget")
		if !strings.Contains(body, "2 things have this number") || !strings.Contains(body, "/console/person?id=sub-other") || !strings.Contains(body, "/console/client?id=orchid-budget") {
			t.Error(body)
		}
	})
	t.Run("accepts a reader, who learns no subject from a name", func(t *testing.T) {
		page := w.get("sample.reader", "/console/search?q=anna.lindqvist")
		if got := page.header.Get("Location"); got != "/console/person?name=anna.lindqvist" {
			t.Fatal(got)
		}
		if body := w.shows("sample.reader", page.header.Get("Location")); strings.Contains(body, "sub-anna") {
			t.Error(body)
		}
	})
	for _, query := range []string{"nothing-has-this", "anna", "refused-", "ORCHID-BUDGET", "<script>alert(7)</script>", "%", "_"} {
		t.Run("refuses to guess "+query, func(t *testing.T) {
			body := w.shows("sample.officer", "/console/search?q="+url.QueryEscape(query))
			if !strings.Contains(body, "Nothing has this number") {
				t.Error(body)
			}
		})
	}
	for _, query := range []string{"q=%00", "q=%ff", "q=a&q=b", "q=%0a", "q=" + strings.Repeat("x", inputLimit+1), "q=%"} {
		t.Run("refuses "+query, func(t *testing.T) {
			if page := w.get("sample.officer", "/console/search?"+query); page.status != http.StatusBadRequest {
				t.Errorf("%d", page.status)
			}
		})
	}
	for _, path := range []string{
		"refused?id=no", "refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55&n=2", "client?id=no", "client", "consent?id=no", "grant?id=no", "person?id=no", "person", "person?name=no", "entry?chain=a-2&n=9999", "entry?chain=no&n=1", "entry",
		"nothing",
	} {
		t.Run("refuses the unknown "+path, func(t *testing.T) {
			if page := w.get("sample.officer", "/console/"+path); page.status != http.StatusNotFound || !strings.Contains(page.body, "Nothing has this number") {
				t.Errorf("%d", page.status)
			}
		})
	}
	for _, path := range []string{
		"refusals?before=x", "refusals?before=-1", "refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55&n=x", "audit?before=!", "audit?before=e30", "entry?chain=a-2&n=0", "person?id=sub-anna-0001&sessions=x", "client?id=orchid-budget&consents=x",
		"client?id=orchid-budget&consents=" + cursor(noon, "a\x00"),
	} {
		t.Run("refuses the wrong "+path, func(t *testing.T) {
			if page := w.get("sample.officer", "/console/"+path); page.status != http.StatusBadRequest {
				t.Errorf("%d", page.status)
			}
		})
	}
}

// personal are texts that only those may read who see data of persons.
var personal = []string{"sub-anna-0001", "anna.lindqvist", "Lindqvist", "anna@mail.example", "1984-02-29", "203.0.113.7", "sub-ben-0002", "phone", "ACME Inc", "165.88", "Fernhill", "20.00"}

// Covers: NM-63. Data of persons are shown to the security officer; all others see them masked.
func TestNM63Masked(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for name, path := range everyPage(w) {
		for _, operator := range []string{"sample.reader", "sample.manager"} {
			t.Run("refuses "+operator+" "+name, func(t *testing.T) {
				body := w.get(operator, path).body
				for _, text := range personal {
					if strings.Contains(strings.ReplaceAll(body, html.EscapeString(asked(path)), ""), text) {
						t.Errorf("%s shows %q", path, text)
					}
				}
			})
		}
	}
	for path, wanted := range map[string][]string{
		"/console/person?id=sub-anna-0001":      {"sub-anna-0001", "anna.lindqvist", "Anna Lindqvist", "anna@mail.example", "Anna&#39;s phone", "Firefox/Linux", "with a passkey"},
		"/console/consent?id=consent-payment-1": {"sub-anna-0001", "Pay £165.88 to ACME Inc?", "ending 5698"},
		"/console/grant?id=grant-payment-1":     {"sub-anna-0001", "Pay £20.00 to Fernhill Cycles?", "ending 3801"},
		"/console/entry?chain=a-2&n=1":          {"sub-anna-0001", "203.0.113.7"},
	} {
		t.Run("accepts the officer at "+path, func(t *testing.T) {
			body := w.shows("sample.officer", path)
			for _, text := range wanted {
				if !strings.Contains(body, text) {
					t.Errorf("%q is missing in %s", text, body)
				}
			}
		})
	}
	t.Run("accepts a masked page, with what is no one's", func(t *testing.T) {
		body := w.shows("sample.reader", "/console/person?id=sub-anna-0001")
		for _, text := range []string{"s•••", "a•••", "Your role does not see data of persons", "orchid-budget", "Synced"} {
			if !strings.Contains(body, text) {
				t.Errorf("%q is missing", text)
			}
		}
	})
}

// asked is what the address itself says of a person, which its reader knew.
func asked(path string) string {
	address, err := url.Parse(path)
	if err != nil {
		return ""
	}
	return address.Query().Get("about")
}

// Covers: NM-64. Who looks at whose data is recorded, once for each page and before it is shown; what cannot be recorded is not shown.
func TestNM64Recorded(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for path, want := range map[string]string{
		"/console/person?id=sub-anna-0001": "person", "/console/person?name=anna.lindqvist": "person", "/console/consent?id=consent-payment-1": "consent", "/console/grant?id=grant-payment-1": "grant",
		"/console/audit?about=sub-anna-0001": "audit", "/console/entry?chain=a-2&n=1": "entry", "/console/search?q=anna.lindqvist": "search",
	} {
		for operator, shown := range map[string]string{"sample.officer": "whole", "sample.reader": "masked"} {
			t.Run("accepts "+operator+" at "+path, func(t *testing.T) {
				w.viewed()
				w.get(operator, path)
				if got := w.viewed(); !slices.Equal(got, []string{operator + " sub-anna-0001 " + want + " " + shown}) {
					t.Errorf("recorded %q", got)
				}
			})
		}
		t.Run("refuses what is not recorded: "+path, func(t *testing.T) {
			w.broken = errAway
			defer func() { w.broken = nil }()
			page := w.get("sample.officer", path)
			if page.status != http.StatusServiceUnavailable || strings.Contains(page.body, "Lindqvist") || strings.Contains(page.body, errAway.Error()) || page.header.Get("Location") != "" {
				t.Errorf("%d, %s", page.status, page.body)
			}
		})
	}
	t.Run("refuses to record who looks at nobody", func(t *testing.T) {
		w.viewed()
		for _, path := range []string{"", "refusals", "refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55", "client?id=orchid-budget", "audit", "audit?client=orchid-budget", link("consent", "id", hostile)[len("/console/"):], "person?id=no", "search?q=no", "entry?chain=a-2&n=3"} {
			w.get("sample.officer", "/console/"+path)
		}
		if got := w.viewed(); len(got) != 0 {
			t.Errorf("recorded %q", got)
		}
	})
	t.Run("accepts that the log names who looked, beside the chain", func(t *testing.T) {
		w.get("sample.officer", "/console/person?id=sub-anna-0001")
		w.viewed()
		body := w.shows("sample.officer", "/console/audit?kind="+PersonViewed+"&about=sub-anna-0001")
		if !strings.Contains(body, "Person viewed") || !strings.Contains(body, "by sample.officer") {
			t.Error(body)
		}
	})
}

var (
	scripts = regexp.MustCompile(`(?i)<script|<img|<iframe|href="javascript|style="`)
	// quoted are values of attributes, in which there may be anything, and handlers attributes that run something.
	quoted    = regexp.MustCompile(`"[^"]*"`)
	handlers  = regexp.MustCompile(`<[^>]*\son[a-z]+\s*=`)
	invisible = regexp.MustCompile(`[\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
)

// Covers: NM-65. What others stored is text on a page, whatever it is; nothing secret is on any; no page runs or loads anything.
func TestNM65Hostile(t *testing.T) {
	w := newWorld(t)
	w.fill()
	for name, path := range everyPage(w) {
		t.Run("refuses markup and secrets on "+name, func(t *testing.T) {
			page := w.get("sample.officer", path)
			if found := scripts.FindString(page.body); found != "" {
				t.Errorf("%s has %q", path, found)
			}
			if found := handlers.FindString(quoted.ReplaceAllString(page.body, `""`)); found != "" {
				t.Errorf("%s has %q", path, found)
			}
			if invisible.MatchString(page.body) {
				t.Errorf("%s has what moves or hides text", path)
			}
			for _, secret := range []string{"argon2id", "secret-hash", "the-client-secret", "session-secret", "08080021325698", "GB76LOYD30949301273801", "LOYD"} {
				if strings.Contains(page.body, secret) {
					t.Errorf("%s has %q", path, secret)
				}
			}
			policy := page.header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(policy, part) {
					t.Errorf("the policy %q lacks %s", policy, part)
				}
			}
			if strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe") || page.header.Get("Cache-Control") != "no-store" || page.header.Get("Referrer-Policy") != "no-referrer" || page.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%v", page.header)
			}
		})
	}
	for name, wanted := range map[string]string{
		"client_hostile": "&lt;script&gt;alert(1)&lt;/script&gt;", "consent_awaiting": "&lt;img src=x onerror", "entry_hostile": "&lt;script&gt;", "refused_hostile": "&lt;script&gt;",
		"consent_revoked": "no longer wanted &lt;script&gt;",
	} {
		t.Run("accepts the text itself on "+name, func(t *testing.T) {
			if body := w.shows("sample.officer", everyPage(w)[name]); !strings.Contains(body, wanted) {
				t.Errorf("%q is missing in %s", wanted, body)
			}
		})
	}
}

var olderLink = regexp.MustCompile(`<a href="([^"]*)">Older`)

// Covers: NM-66. Lists are bounded, and go on from the last entry: each is there once, and no page looks at all.
func TestNM66Pages(t *testing.T) {
	w := newWorld(t)
	w.fill()
	refusal, logged := regexp.MustCompile(`/console/refused\?id=([0-9a-f-]{36}|refused-[0-9]+)"`), regexp.MustCompile(`/console/entry\?chain=a-2&amp;n=([0-9]+)"`)
	for path, test := range map[string]struct {
		row  *regexp.Regexp
		want int
	}{
		"/console/refusals": {refusal, 130}, "/console/refusals?client=orchid-budget": {refusal, 117}, "/console/refusals?rule=assertion.expired": {refusal, 13}, "/console/refusals?endpoint=%2Fpar&rule=invalid_client": {refusal, 13},
		"/console/refusals?client=nobody": {refusal, 0}, "/console/audit": {logged, 262}, "/console/audit?kind=signed_in": {logged, 26}, "/console/audit?about=sub-anna-0001": {logged, 13},
		"/console/audit?client=orchid-budget&kind=grant_revoked": {logged, 1}, "/console/audit?about=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55": {logged, 1}, "/console/audit?kind=checkpoint": {logged, 1}, "/console/audit?kind=no": {logged, 0},
	} {
		t.Run(fmt.Sprint("accepts ", test.want, " at ", path), func(t *testing.T) {
			var seen []string
			for at, pages := path, 0; at != ""; pages++ {
				body := w.shows("sample.officer", at)
				rows := test.row.FindAllStringSubmatch(body, -1)
				if len(rows) > rowsOnPage || pages > 10 {
					t.Fatalf("%d on page %d", len(rows), pages)
				}
				for _, row := range rows {
					seen = append(seen, row[1])
				}
				at = ""
				if next := olderLink.FindStringSubmatch(body); next != nil {
					at = html.UnescapeString(next[1])
				}
			}
			total := len(seen)
			slices.Sort(seen)
			if seen = slices.Compact(seen); total != test.want || len(seen) != total {
				t.Errorf("%d, of them different %d; want %d", total, len(seen), test.want)
			}
		})
	}
	t.Run("accepts the lists of a client and of a person", func(t *testing.T) {
		for i := range 25 {
			w.lodge("uk-accounts-4.0", fmt.Sprint("more-", i), `{"Data":{"Permissions":["ReadAccountsBasic"]},"Risk":{}}`)
			w.must(w.store.StartSession(t.Context(), store.Session{
				ID: store.DigestOf(fmt.Sprint("session ", i)), Subject: "sub-anna-0001", AuthTime: noon.Add(time.Duration(-i) * time.Hour), ExpiresAt: noon.Add(time.Hour), Agent: fmt.Sprintf("Agent/%d", i),
			}, store.Digest{}))
		}
		for path, test := range map[string]struct {
			row  *regexp.Regexp
			want int
		}{
			"/console/client?id=orchid-budget": {regexp.MustCompile(`/console/consent\?id=([^"]+)"`), 28},
			"/console/person?id=sub-anna-0001": {regexp.MustCompile(`<bdi>((?:Agent|Firefox)/[^<]+)</bdi>`), 26},
		} {
			seen := map[string]bool{}
			for at, pages := path, 0; at != ""; pages++ {
				body := w.shows("sample.officer", at)
				for _, row := range test.row.FindAllStringSubmatch(body, -1) {
					seen[row[1]] = true
				}
				at = ""
				if next := regexp.MustCompile(`<a href="([^"]*#(?:consents|sessions))">Older`).FindStringSubmatch(body); next != nil {
					at = html.UnescapeString(next[1])
				}
				if pages > 10 {
					t.Fatal("it does not end")
				}
			}
			if len(seen) < test.want {
				t.Errorf("%s lists %d, want %d", path, len(seen), test.want)
			}
		}
	})
	t.Run("refuses to look at all of the log for one page", func(t *testing.T) {
		for i := range linesMost + 1000 {
			w.appendLine(noon, audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "filler", "number": fmt.Sprint(i)}})
		}
		w.flush()
		body := w.shows("sample.officer", "/console/audit?kind=signed_in")
		next := olderLink.FindStringSubmatch(body)
		if !strings.Contains(body, "There is more") || next == nil {
			t.Fatal(body)
		}
		if body := w.shows("sample.officer", html.UnescapeString(next[1])); !strings.Contains(body, "Signed in") {
			t.Error(body)
		}
	})
	t.Run("accepts the logs of many nodes, in the order of time", func(t *testing.T) {
		const nodes, each = 60, 8
		for n := range nodes {
			chain := audit.NewChain(fmt.Sprintf("countersign-7d9c5b6f4-xk2p9-node-%02d", n))
			var lines []store.AuditLine
			for i := range each {
				line, about, err := chain.AppendApart(noon.Add(time.Duration(i*nodes+n)*time.Second), audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "of_many", "number": fmt.Sprint(i*nodes + n)}})
				w.must(err)
				lines = append(lines, store.AuditLine{Chain: fmt.Sprintf("countersign-7d9c5b6f4-xk2p9-node-%02d", n), Sequence: uint64(i + 1), Text: string(line), Personal: string(about)})
			}
			w.must(w.store.AppendAudit(t.Context(), lines))
		}
		row := regexp.MustCompile(`chain=countersign-7d9c5b6f4-xk2p9-node-([0-9]+)&amp;n=([0-9]+)"`)
		var seen []int
		for at, pages := "/console/audit?kind=of_many", 0; at != "" && pages < 20; pages++ {
			body := w.shows("sample.officer", at)
			for _, found := range row.FindAllStringSubmatch(body, -1) {
				node, nodeErr := strconv.Atoi(found[1])
				sequence, err := strconv.Atoi(found[2])
				w.must(errors.Join(nodeErr, err))
				seen = append(seen, (sequence-1)*nodes+node)
			}
			at = ""
			if next := olderLink.FindStringSubmatch(body); next != nil {
				at = html.UnescapeString(next[1])
			}
		}
		for i, number := range seen {
			if number != nodes*each-1-i {
				t.Fatalf("entry %d is at place %d", number, i)
			}
		}
		if len(seen) != nodes*each {
			t.Errorf("%d entries", len(seen))
		}
	})
	t.Run("accepts a log whose beginning was dropped", func(t *testing.T) {
		if _, err := w.store.DropAudit(t.Context(), "a-2", 200); err != nil {
			t.Fatal(err)
		}
		body := w.shows("sample.officer", link("audit", "before", position{"a-2": 260}.encode()))
		if n := len(logged.FindAllString(body, -1)); n != rowsOnPage {
			t.Fatalf("%d", n)
		}
		body = w.shows("sample.officer", html.UnescapeString(olderLink.FindStringSubmatch(body)[1]))
		if n := len(logged.FindAllString(body, -1)); n != 10 || olderLink.MatchString(body) {
			t.Errorf("%d", n)
		}
	})
}

// Covers: NM-68. The overview says whether the node works, how old its keys and the last seal are, which certificates end soon, and which
// rules refuse most; a client and a refused request show what an operator is asked.
func TestNM68Shown(t *testing.T) {
	w := newWorld(t)
	t.Run("accepts a server of which nothing is stored", func(t *testing.T) {
		body := w.shows("sample.reader", "/console/")
		for _, text := range []string{"This node works", "There are no keys", "It is empty", "Nothing was refused lately"} {
			if !strings.Contains(body, text) {
				t.Errorf("%q is missing", text)
			}
		}
	})
	w.fill()
	for path, wanted := range map[string][]string{
		"/console/": {
			"This node works", "kid-access", "active for 39 days", "published for 1 hour", "Entry 262", "sealed 10 minutes ago; 1 entry since", "listen.certificate_file", "in 20 days", "Ends soon", "in 900 days",
			"The redirect URI is not registered", "redirect_uri.unregistered", "The client assertion has expired", "of the last 130 refused requests",
		},
		"/console/refused?id=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55": {
			"The redirect URI is not registered", "it must match to the byte", "RFC 9700 §2.1", "Send a registered one", "Orchid Budget", "POST /par", "400 invalid_request", "It happened 48 times in the last hour", "What else was refused to this client",
			"/console/audit?about=6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55",
		},
		"/console/refused?id=refused-120": {"The client assertion has expired", "Somebody whom the server does not know", "None was recognised", "401 invalid_client"},
		"/console/client?id=orchid-budget": {
			"Orchid Budget", "Served", "k-2026-08", "in 12 days", "Ends soon", "Its certificate cannot be read", "ukob", "Active there", "2, of which valid: 1", "consent-payment-1", "token_endpoint_auth_method", "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55",
		},
		"/console/consent?id=consent-accounts-1": {"Revoked", "Revoked by the person", "Allowed by the person", "Lodged by the client", "ReadBalances", "grant-accounts-1", "Share account information with Orchid Budget?"},
		"/console/grant?id=grant-accounts-1":     {"Revoked", "Given by the person", "Ended by", "consent-accounts-1"},
	} {
		t.Run("accepts "+path, func(t *testing.T) {
			body := w.shows("sample.officer", path)
			for _, text := range wanted {
				if !strings.Contains(body, text) {
					t.Errorf("%q is missing in %s", text, body)
				}
			}
		})
	}
	t.Run("refuses to call a node ready that is not", func(t *testing.T) {
		w.unready = errAway
		body := w.shows("sample.reader", "/console/")
		if !strings.Contains(body, "This node does not work") || !strings.Contains(body, errAway.Error()) {
			t.Error(body)
		}
	})
	t.Run("refuses to call a client served that is suspended or disabled", func(t *testing.T) {
		if _, err := w.store.PutStanding(t.Context(), store.Standing{ClientID: "orchid-budget", Suspended: "its organisation is withdrawn", At: noon}); err != nil {
			t.Fatal(err)
		}
		body := w.shows("sample.reader", "/console/client?id=orchid-budget")
		if !strings.Contains(body, "Suspended") || !strings.Contains(body, "its organisation is withdrawn") || !strings.Contains(body, "Not active there") {
			t.Error(body)
		}
	})
}
