package pages

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"countersign/internal/browsertest"
)

// bankSite serves every page of a bank with its assets, as the server does.
type bankSite struct {
	*httptest.Server
	pages *Pages

	mu sync.Mutex
	// pressed is the button of the last form.
	pressed string
}

func newBankSite(t *testing.T) *bankSite {
	t.Helper()
	s := &bankSite{}
	mux := http.NewServeMux()
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.EnableHTTP2 = true // the streams of events must not take the connections of images
	s.StartTLS()
	t.Cleanup(s.Close)
	var err error
	if s.pages, err = New(Config{Brand: bankBrand(t), Issuer: s.URL, Now: func() time.Time { return harnessTime }}); err != nil {
		t.Fatal(err)
	}
	assets, err := s.pages.Assets()
	if err != nil {
		t.Fatal(err)
	}
	for _, asset := range assets {
		mux.HandleFunc("GET "+asset.Path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", asset.ContentType)
			_, _ = w.Write(asset.Body)
		})
	}
	mux.HandleFunc("GET /device/events", func(w http.ResponseWriter, r *http.Request) { // nothing happens
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-t.Context().Done():
		}
	})
	for name, show := range everyPage() {
		mux.HandleFunc("GET /page/"+name, func(w http.ResponseWriter, r *http.Request) { show(s.pages, w, r) })
		mux.HandleFunc("POST /page/"+name, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.pressed = r.PostFormValue("action")
			answer(w, "pressed")
		})
	}
	return s
}

func (s *bankSite) address(name, language string) string {
	return s.URL + "/page/" + name + "?ui_locales=" + language
}

// pageLook is a size and a scheme in which pages are looked at.
type pageLook struct {
	name          string
	width, height int64
	dark          bool
	// zoom is that of the text alone, in percent.
	zoom int
}

func pageLooks() []pageLook {
	return []pageLook{
		{"320", 320, 640, false, 100}, {"390-dark", 390, 600, true, 100}, {"1280", 1280, 900, false, 100},
		{"320-dark", 320, 640, true, 100}, {"390", 390, 600, false, 100}, {"1280-dark", 1280, 900, true, 100},
		{"1280-zoomed", 640, 450, false, 100}, // what 1280 by 900 at 200 % has in CSS pixels
		{"1280-zoomed-dark", 640, 450, true, 100},
		{"640-large-text", 640, 900, false, 200},
	}
}

// Covers: KD-20, KD-21, KD-22, KD-23. TestKD20EveryPage looks at every page in three languages, light and dark, on narrow and wide
// screens and at 200 %: nothing is cut off or sticks out, also with wide spacing of the text (WCAG SC 1.4.12), and axe-core finds
// nothing. Of the sizes and schemes, axe-core sees a third with each language; all with each where screenshots are made.
func TestKD20EveryPage(t *testing.T) {
	s := newBankSite(t)
	names := slices.Sorted(maps.Keys(everyPage()))
	for i, language := range languages() {
		t.Run("accepts "+language, func(t *testing.T) {
			t.Parallel()
			b := browsertest.Open(t, s.Certificate())
			for n, name := range names {
				b.Visit(s.address(name, language))
				direction := map[bool]string{true: "rtl", false: "ltr"}[language == "ar"]
				if got := b.Eval(`document.documentElement.lang + " " + getComputedStyle(document.body).direction`); got != language+" "+direction {
					t.Errorf("%s: %s", name, got)
				}
				for k, look := range pageLooks() {
					b.Look(look.width, look.height, look.dark)
					b.Eval(fmt.Sprintf(`(document.documentElement.style.fontSize = "%d%%")`, look.zoom))
					keep(t, strings.Join([]string{name, language, look.name}, "_"), b)
					b.Eval(`document.querySelectorAll("details").forEach(d => d.open = true), ""`)
					at := fmt.Sprintf("%s in %s at %s", name, language, look.name)
					s.checkLayout(t, b, at)
					if (k+n)%3 == i || os.Getenv("COUNTERSIGN_SCREENSHOTS") != "" {
						for _, v := range b.Axe() {
							t.Errorf("%s: axe: %s: %s: %q", at, v.Rule, v.Help, v.Where)
						}
					}
					b.Eval(`document.querySelectorAll("details").forEach(d => d.open = false), ""`)
				}
				b.Look(320, 640, false)
				b.Eval(`(document.documentElement.style.fontSize = "100%")`)
				b.Eval(spacing)
				s.checkLayout(t, b, name+" in "+language+" with wide spacing")
			}
			for _, complaint := range b.Complaints() { // Chromium notes the status of error pages
				if !strings.Contains(complaint, "the server responded with a status of") {
					t.Errorf("the browser complains: %s", complaint)
				}
			}
		})
	}
}

func (s *bankSite) checkLayout(t *testing.T, b *browsertest.Browser, at string) {
	t.Helper()
	for finding := range strings.SplitSeq(b.Eval(layout), "\n") {
		if finding != "" {
			t.Errorf("%s: %s", at, finding)
		}
	}
}

// keep writes a screenshot where COUNTERSIGN_SCREENSHOTS says.
func keep(t *testing.T, name string, b *browsertest.Browser) {
	t.Helper()
	if os.Getenv("COUNTERSIGN_SCREENSHOTS") != "" {
		save(t, name, b.Screenshot())
	}
}

// spacing sets the spacing of text as WCAG SC 1.4.12 says.
const spacing = `(() => {
	const sheet = new CSSStyleSheet();
	sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }");
	document.adoptedStyleSheets = [sheet];
	return "";
})()`

// layout finds what sticks out of the page, is cut off, lies over something else, or is too small to touch.
const layout = `(async () => {
	const shown = () => [...document.images].every(i => !i.checkVisibility() || i.complete && i.naturalWidth);
	for (let i = 0; i < 400 && !shown(); i++) await new Promise(done => setTimeout(done, 25)); // another scheme has another logo
	const findings = [], wide = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth > wide) findings.push("scrolls to the side: " + document.documentElement.scrollWidth + " > " + wide);
	const name = e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : e.className.baseVal === undefined && e.className ? "." + e.className : "") + " " + JSON.stringify(e.textContent.trim().slice(0, 40));
	for (const e of document.body.querySelectorAll("*")) {
		if (e.closest("svg, .skip, .hide, [hidden], noscript, .menu") || !e.checkVisibility()) continue;
		const box = e.getBoundingClientRect(), style = getComputedStyle(e);
		if (box.width === 0 || box.height === 0) continue;
		if (box.left < -1 || box.right > wide + 1) findings.push("sticks out: " + name(e));
		if (style.overflow !== "visible" && e.tagName !== "INPUT" && e.tagName !== "DETAILS" && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1))
			findings.push("is cut off: " + name(e));
		if (style.textOverflow === "ellipsis") findings.push("ends in an ellipsis: " + name(e));
	}
	const targets = [...document.querySelectorAll("a, button, summary, input:not([type=hidden])")]
		.filter(e => e.checkVisibility() && !e.closest(".skip, .menu ul, [hidden]"));
	for (const e of targets) {
		const box = e.getBoundingClientRect();
		if (!e.matches("p a") && (box.width < 24 || box.height < 24)) findings.push("is only " + box.width + " by " + box.height + ": " + name(e));
	}
	const boxes = [...document.querySelectorAll("main h1, main h2, main h3, main p, main li, main dt, main dd, main label, main button, main input:not([type=hidden]), main summary, .brand, .menu summary, .foot p, .foot li")]
		.filter(e => e.checkVisibility() && !e.closest("[hidden]"));
	for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) {
		if (a.contains(b) || b.contains(a)) continue;
		const p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
		if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 3)
			findings.push(name(a) + " lies over " + name(b));
	}
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
	while (texts.nextNode()) {
		const node = texts.currentNode;
		if (!node.parentElement.closest("h1, h2, h3, .brand, button, label, summary, .menu a, .parts, dt") || node.parentElement.closest(".hide, .skip, [hidden], .host") || !node.parentElement.checkVisibility()) continue;
		for (const word of node.textContent.matchAll(/[^\s-]{2,14}(?![^\s-])/g)) {
			range.setStart(node, word.index);
			range.setEnd(node, word.index + word[0].length);
			if (new Set([...range.getClientRects()].map(r => Math.round(r.top))).size > 1) findings.push("a word is broken: " + word[0]);
		}
	}
	for (const host of document.querySelectorAll(".host")) {
		const stop = host.nextSibling;
		if (!stop || !/^[.,،]/.test(stop.data || "") || host.matches(".long") || !host.checkVisibility()) continue;
		range.setStart(stop, 0);
		range.setEnd(stop, 1);
		if (range.getBoundingClientRect().top > host.getBoundingClientRect().bottom - 2) findings.push("a full stop stands alone behind " + host.textContent);
	}
	const menu = document.querySelector(".menu ul");
	if (menu && menu.checkVisibility()) {
		const box = menu.getBoundingClientRect();
		if (box.left < 0 || box.right > wide) findings.push("the menu of languages sticks out: " + box.left + " to " + box.right + " of " + wide);
	}
	if (document.querySelectorAll(".primary").length > 1) findings.push("more than one button is filled");
	for (const image of document.images) if (image.checkVisibility() && (!image.complete || !image.naturalWidth)) findings.push("an image is missing: " + image.src);
	return findings.join("\n");
})()`

// tabbable lists what Tab has to lead to, in order, and what it leads to; it marks them.
const tabbable = `(() => {
	const all = [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden])")]
		.filter(e => e.checkVisibility() && !e.closest("[hidden]") && !e.disabled);
	all.forEach((e, i) => e.dataset.tab = i);
	document.activeElement.blur();
	all[0].focus();
	return String(all.length);
})()`

// focused says where the focus is, and what is wrong with how it shows.
const focused = `(() => {
	const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e), after = getComputedStyle(e, "::after");
	let problem = "";
	const ring = s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2;
	if (!ring(style) && !ring(after)) problem = "has no ring of the focus";
	else if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) problem = "is not on the screen";
	else {
		const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1), y = Math.min(Math.max(box.top + box.height / 2, 1), innerHeight - 1);
		const top = document.elementFromPoint(x, y);
		if (top && top !== e && !e.contains(top) && !top.contains(e)) problem = "is covered by " + top.tagName + "." + top.className;
	}
	return (e.dataset.tab ?? "none") + "|" + problem + "|" + (e.id || e.textContent.trim().slice(0, 30));
})()`

// Covers: KD-24. TestKD24Keyboard goes through every page by keyboard alone: Tab leads to everything that can be used, in the order of
// reading, with a ring that shows where it is and nothing over it; the menu of languages and the first link work.
func TestKD24Keyboard(t *testing.T) {
	s := newBankSite(t)
	for _, language := range languages() {
		t.Run("accepts "+language, func(t *testing.T) {
			t.Parallel()
			b := browsertest.Open(t, s.Certificate())
			b.Look(390, 844, false)
			for _, name := range slices.Sorted(maps.Keys(everyPage())) {
				b.Visit(s.address(name, language))
				b.Press(kb.Shift) // a browser shows the ring to who uses the keyboard
				count := b.Eval(tabbable)
				for i := 0; fmt.Sprint(i) != count; i++ {
					if i > 0 {
						b.Press("\t")
					}
					at, rest, _ := strings.Cut(b.Eval(focused), "|")
					problem, what, _ := strings.Cut(rest, "|")
					if at != fmt.Sprint(i) || problem != "" {
						t.Errorf("%s: Tab %d of %s leads to %s (%s), which %s", name, i, count, at, what, problem)
						break
					}
				}
			}
			b.Visit(s.address("consent", language))
			b.Eval(tabbable)
			b.Press("\r") // on the first link
			if got := b.Location(); !strings.HasSuffix(got, "#main") {
				t.Errorf("the first link leads to %s", got)
			}
			b.Visit(s.address("consent", language))
			b.Eval(tabbable)
			b.Press("\t")
			b.Press(" ") // on the menu
			if got := b.Eval(`String(document.querySelector(".menu").open)`); got != "true" {
				t.Error("the menu does not open")
			}
			b.Press("\t")
			b.Press("\t")
			b.PressAndFollow("\r")
			if got := b.Eval(`document.documentElement.lang`); got != "pt-BR" {
				t.Errorf("the second language is %s", got)
			}
		})
	}
}

// Covers: KD-25. TestKD25Pressed: whatever decides, signs in or ends something can be pressed by keyboard.
func TestKD25Pressed(t *testing.T) {
	s := newBankSite(t)
	b := browsertest.Open(t, s.Certificate())
	count := 0
	for _, name := range slices.Sorted(maps.Keys(everyPage())) {
		b.Visit(s.address(name, "en"))
		const buttons = `JSON.stringify([...document.querySelectorAll("form:not([data-passkey]) button")].filter(e => e.checkVisibility()).map(e => e.value).filter((v, i, all) => all.indexOf(v) === i))`
		list := strings.Trim(b.Eval(buttons), `[]`)
		for _, quoted := range strings.Split(list, ",") {
			action := strings.Trim(quoted, `"`)
			if action == "" {
				continue
			}
			t.Run("accepts "+action+" on "+name, func(t *testing.T) {
				count++
				b.Visit(s.address(name, "en"))
				total := b.Eval(tabbable)
				for i := 0; fmt.Sprint(i) != total; i++ {
					if i > 0 {
						b.Press("\t")
					}
					if b.Eval(`String(document.activeElement.tagName === "INPUT" && !document.activeElement.value)`) == "true" {
						b.Press("typed")
					}
					if b.Eval(`String(document.activeElement.value === "`+action+`" && document.activeElement.tagName === "BUTTON")`) == "true" {
						b.PressAndFollow("\r")
						break
					}
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.pressed != action {
					t.Errorf("pressed %q", s.pressed)
				}
				s.pressed = ""
			})
		}
	}
	if count < 20 {
		t.Errorf("%d buttons were pressed", count)
	}
}
