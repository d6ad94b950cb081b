// Package browsertest drives a headless Chromium, as packaged by the distribution, in tests.
//
// A [Browser] is a fresh profile. It collects console messages, exceptions and blocked content, for which
// [Browser.Done] fails the test.
package browsertest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// stepTime bounds each step, so that a page that does not load fails the test instead of hanging it.
const stepTime = 30 * time.Second

// Browser is one running Chromium with one page open.
type Browser struct {
	t   testing.TB
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// Open starts a browser that ends with the test; its page has 1280 by 800 CSS pixels and light colours. It trusts
// certificates by their public keys, whoever issued them; with none only the system's CAs are trusted. Without Chromium
// the test fails.
func Open(t testing.TB, certificates ...*x509.Certificate) *Browser {
	t.Helper()
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(find(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("lang", "en"),
	)
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox) // Chromium's sandbox cannot be made by root
	}
	var trusted []string
	for _, certificate := range certificates {
		digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		trusted = append(trusted, base64.StdEncoding.EncodeToString(digest[:]))
	}
	if len(trusted) > 0 {
		flags = append(flags, chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(trusted, ",")))
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(end)
	b := &Browser{t: t}
	ctx, end := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	t.Cleanup(end)
	b.begin(ctx)
	return b
}

// Tab opens another page in the same browser, with the same cookies. It collects complaints of its own.
func (b *Browser) Tab() *Browser {
	b.t.Helper()
	tab := &Browser{t: b.t}
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithListener(tab.listen))
	b.t.Cleanup(end)
	tab.begin(ctx)
	return tab
}

// begin opens the page.
func (b *Browser) begin(ctx context.Context) {
	b.t.Helper()
	b.ctx = ctx
	enable := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, logs := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		_, issues := cdp.Call(ctx, target, audits.Enable, cdp.Empty{})
		return errors.Join(logs, issues)
	})
	// The first Do starts the browser, which runs until its context ends: no timeout here.
	if err := chromedp.Do(ctx, enable); err != nil {
		b.t.Fatalf("start Chromium: %v", err)
	}
	b.Look(1280, 800, false)
}

// Look sets the size of the page in CSS pixels, and the preferred colour scheme.
func (b *Browser) Look(width, height int64, dark bool) {
	b.t.Helper()
	colours := "light"
	if dark {
		colours = "dark"
	}
	b.run(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: colours},
				{Name: "prefers-reduced-motion", Value: "reduce"}, // nothing is looked at on its way from one colour to another
			},
		})
		return err
	}))
}

func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("Chromium is missing: apt-get install chromium")
	return ""
}

// listen collects complaints.
func (b *Browser) listen(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.complain("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		b.complain("console %s", e.Type)
	case *runtime.EventExceptionThrown:
		b.complain("exception: %s", e.ExceptionDetails.Text)
	case *audits.EventIssueAdded:
		details, err := json.Marshal(e.Issue.Details)
		b.complain("issue: %s %s (%v)", e.Issue.Code, details, err)
	}
}

func (b *Browser) complain(format string, arguments ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, fmt.Sprintf(format, arguments...))
}

// Complaints returns the complaints since the last call.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	complaints := b.complaints
	b.complaints = nil
	return complaints
}

// Done fails the test if there are complaints.
func (b *Browser) Done() {
	b.t.Helper()
	for _, complaint := range b.Complaints() {
		b.t.Errorf("the browser complains: %s", complaint)
	}
}

// Run runs actions within stepTime.
func (b *Browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	get(b, chromedp.Steps(actions...))
}

// get runs an action that has a value.
func get[T any](b *Browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("browser at %s: %v", b.where(), err)
	}
	return value
}

// where returns the URL for a failure message; it must not fail.
func (b *Browser) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	address, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return "an unknown address"
	}
	return address
}

// Visit opens a URL and waits until it is loaded.
func (b *Browser) Visit(address string) {
	b.t.Helper()
	b.run(chromedp.Navigate(address))
}

// Location returns the URL of the page.
func (b *Browser) Location() string {
	b.t.Helper()
	return get(b, chromedp.Location())
}

// Title returns the page's title.
func (b *Browser) Title() string {
	b.t.Helper()
	return get(b, chromedp.Title())
}

// Text returns the visible text of the first element that the CSS selector matches.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(get(b, chromedp.Text(chromedp.CSS(selector))))
}

// AwaitText waits until an element shows a text, on a page that updates itself and may be loading meanwhile.
func (b *Browser) AwaitText(selector, want string) {
	b.t.Helper()
	b.await(selector, "never shows "+want, func(text string) bool { return strings.Contains(text, want) })
}

// AwaitNoText waits until an element no longer shows a text.
func (b *Browser) AwaitNoText(selector, gone string) {
	b.t.Helper()
	b.await(selector, "always shows "+gone, func(text string) bool { return !strings.Contains(text, gone) })
}

func (b *Browser) await(selector, failure string, good func(text string) bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	for ctx.Err() == nil {
		if text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector))); err == nil && good(text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("browser at %s: %s %s", b.where(), selector, failure)
}

// Primary returns the texts of the buttons that stand out: visible, and filled with the accent colour of the pages.
func (b *Browser) Primary() []string {
	b.t.Helper()
	return get(b, chromedp.Evaluate[[]string](`(() => {
		const probe = document.body.appendChild(document.createElement('i'));
		const filled = ['--accent', '--accent-strong'].map(name => {
			probe.style.backgroundColor = 'var(' + name + ')';
			return getComputedStyle(probe).backgroundColor;
		});
		probe.remove();
		return [...document.querySelectorAll('button')]
			.filter(each => each.offsetParent && filled.includes(getComputedStyle(each).backgroundColor))
			.map(each => each.textContent.trim());
	})()`))
}

// Eval returns what an expression in JavaScript comes to, which is a string or promises one. The debugger runs it, so that the page's
// Content-Security-Policy does not apply.
func (b *Browser) Eval(expression string) string {
	b.t.Helper()
	return get(b, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
}

// Value returns the value of an input.
func (b *Browser) Value(selector string) string {
	b.t.Helper()
	return get(b, chromedp.Value(chromedp.CSS(selector)))
}

// Focused returns the id of the element that has the focus, or its tag name.
func (b *Browser) Focused() string {
	b.t.Helper()
	return get(b, chromedp.Evaluate[string](`document.activeElement.id || document.activeElement.tagName`))
}

// AwaitFocus waits until the element with an id has the focus: browsers apply autofocus shortly after the page has
// loaded.
func (b *Browser) AwaitFocus(id string) {
	b.t.Helper()
	focused := ""
	for range 250 {
		if focused = b.Focused(); focused == id {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("browser at %s: the focus is on %s and not on %s", b.where(), focused, id)
}

// Type replaces the content of an input.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	field := chromedp.CSS(selector)
	all := chromedp.KeyEvent("a", chromedp.KeyModifiers(kb.ModifierCtrl))
	b.run(chromedp.Focus(field), all, chromedp.KeyEvent(kb.Delete), chromedp.SendKeys(field, text))
}

// Click clicks and waits for the page that follows.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.follow(chromedp.Click(chromedp.CSS(selector)))
}

// Tap clicks what leads to no other page.
func (b *Browser) Tap(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// Press presses keys where the focus is; package kb of chromedp has the names of special keys.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(keys))
}

// PressAndFollow presses keys and waits for the page that follows.
func (b *Browser) PressAndFollow(keys string) {
	b.t.Helper()
	b.follow(chromedp.KeyEvent(keys))
}

// SignIn fills in the built-in sign-in page and sends it.
func (b *Browser) SignIn(username, password string) {
	b.t.Helper()
	b.Type("#username", username)
	b.Type("#password", password)
	b.Click("#sign-in")
}

func (b *Browser) follow(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, action); err != nil {
		b.t.Fatalf("browser at %s: no page follows: %v (complaints: %q)", b.where(), err, b.Complaints())
	}
}

// Screenshot returns the whole page, as PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	return get(b, chromedp.FullScreenshot(100))
}
