package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/internal/browsertest"
)

// example is what `make example` starts, in a folder of the test and on free ports.
type example struct {
	t              *testing.T
	folder         string
	issuer, orchid string
	password       string

	command *exec.Cmd
	output  *output
}

// output keeps what a program writes, and closes ready when it says that it is.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	once   sync.Once
	ready  chan struct{}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.buffer.Write(p)
	if strings.Contains(o.buffer.String(), "Ctrl-C ends everything") {
		o.once.Do(func() { close(o.ready) })
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// start builds the programs and starts them by the one command.
func start(t *testing.T) *example {
	t.Helper()
	e := &example{t: t, folder: filepath.Join(t.TempDir(), "bank"), output: &output{ready: make(chan struct{})}}
	programs := t.TempDir()
	for name, source := range map[string]string{
		"countersign": "./../../cmd/countersign", "claims-source": "./../claims-source", "bank": ".", "bank-api": "./api", "orchid": "./orchid",
	} {
		if output, err := exec.Command("go", "build", "-o", filepath.Join(programs, name), source).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, output)
		}
	}
	ports := freePorts(t, 6)
	e.issuer, e.orchid = url(ports[0]), url(ports[4])
	arguments := []string{"-dir", e.folder, "-dev-keys"}
	for i, each := range []string{"port", "mtls-port", "demo-port", "api-port", "orchid-port", "accounts-port"} {
		arguments = append(arguments, "-"+each, fmt.Sprint(ports[i]))
	}
	e.command = exec.CommandContext(context.Background(), filepath.Join(programs, "bank"), arguments...)
	e.command.Stdout, e.command.Stderr = e.output, e.output
	if err := e.command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.command.Wait() // checked where it matters
	}()
	t.Cleanup(func() {
		_ = e.command.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("the command wrote:\n%s", e.output)
			for _, name := range []string{"countersign", "claims-source", "bank-api", "orchid"} {
				text, err := os.ReadFile(filepath.Join(e.folder, "logs", name+".log"))
				t.Logf("%s logged (%v):\n%s", name, err, text)
			}
		}
	})
	select {
	case <-e.output.ready:
	case <-ended:
		t.Fatalf("the command has ended:\n%s", e.output)
	case <-time.After(90 * time.Second):
		t.Fatalf("the command is not ready:\n%s", e.output)
	}
	password, err := os.ReadFile(filepath.Join(e.folder, "demo", "password"))
	if err != nil {
		t.Fatal(err)
	}
	e.password = strings.TrimSpace(string(password))
	return e
}

func freePorts(t *testing.T, count int) []int {
	t.Helper()
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // all at once, so that no two are the same
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// browser opens a browser that trusts the example's certificate.
func (e *example) browser() *browsertest.Browser {
	e.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(e.folder, "tls", "server.crt"), filepath.Join(e.folder, "tls", "server.key"))
	if err != nil {
		e.t.Fatal(err)
	}
	return browsertest.Open(e.t, pair.Leaf)
}

// looks are what each page is looked at with: widths of a telephone and of a desk, light and dark.
var looks = []struct {
	name          string
	width, height int64
	dark          bool
}{
	{"320", 320, 640, false}, {"390", 390, 844, false}, {"390-dark", 390, 844, true}, {"1280-dark", 1280, 860, true}, {"1280", 1280, 860, false},
}

// page checks a page with axe-core in every look, and that it has one filled button at most and no scripts. It draws it where
// COUNTERSIGN_SCREENSHOTS names a folder.
func (e *example) page(b *browsertest.Browser, name string, texts ...string) {
	e.t.Helper()
	text := b.Text("body")
	for _, each := range texts {
		if !strings.Contains(text, each) {
			e.t.Errorf("the page %s does not say %q: %s", name, each, text)
		}
	}
	if count := b.Eval(`String(document.scripts.length)`); strings.HasPrefix(b.Location(), e.orchid) && count != "0" {
		e.t.Errorf("the page %s has %s scripts", name, count)
	}
	if count := b.Eval(`String(document.querySelectorAll(".button.primary").length)`); count != "0" && count != "1" {
		e.t.Errorf("the page %s has %s filled buttons", name, count)
	}
	if strings.Contains(text, "UTC") || strings.Contains(text, "client_id") || strings.Contains(text, "scope") {
		e.t.Errorf("the page %s has words that people would have to look up: %s", name, text)
	}
	for _, look := range looks {
		b.Look(look.width, look.height, look.dark)
		b.CheckAxe()
		if wide := b.Eval(`String(document.documentElement.scrollWidth > document.documentElement.clientWidth)`); wide != "false" {
			e.t.Errorf("the page %s is wider than %d pixels", name, look.width)
		}
		if folder := os.Getenv("COUNTERSIGN_SCREENSHOTS"); folder != "" {
			if err := os.WriteFile(filepath.Join(folder, name+"-"+look.name+".png"), b.Screenshot(), 0o644); err != nil {
				e.t.Fatal(err)
			}
		}
	}
}

// connect connects the bank, with the two first of three accounts.
func (e *example) connect(b *browsertest.Browser) {
	e.t.Helper()
	b.Visit(e.orchid + "/")
	b.Click(`a[href="/connect"]`)
	b.Click("form button")
	b.SignIn(customer, e.password)
	e.choose(b, 0, 1)
	b.Click("#allow")
}

// choose chooses accounts on the bank's page.
func (e *example) choose(b *browsertest.Browser, which ...int) {
	e.t.Helper()
	for _, each := range which {
		b.Tap(fmt.Sprintf(`input[name="choose.0./accounts.%d"]`, each))
	}
}

// telephone signs in at the device page of the bank, in a browser of its own.
func (e *example) telephone() *browsertest.Browser {
	e.t.Helper()
	phone := e.browser()
	phone.Look(390, 844, false)
	phone.Visit(e.issuer + "/device")
	phone.SignIn(customer, e.password)
	return phone
}

// decide opens the request that waits, compares its word, and decides.
func (e *example) decide(phone *browsertest.Browser, word, decision string) {
	e.t.Helper()
	phone.AwaitText("#requests", word)
	phone.Click(".requests a")
	text := phone.Text("main")
	if !strings.Contains(text, word) || !strings.Contains(text, "Orchid Budget") {
		e.t.Errorf("the telephone shows %q", text)
	}
	if decision == "approve" {
		phone.Type("#password", e.password)
	}
	phone.Click("#" + decision)
}

// TestStory is what the README tells: connect, pay, confirm, look, end. Everything is real: the server, the API, the application, two
// browsers.
//
// Covers: RB-01, RB-02, RB-03, RB-04, RB-05, RB-06.
func TestStory(t *testing.T) {
	e := start(t)
	b := e.browser()
	ok := t.Run("accepts the connection of the accounts that the user chose", func(t *testing.T) {
		e.t = t
		b.Visit(e.orchid + "/")
		e.page(b, "home", "All your money on one page")
		b.Click(`a[href="/connect"]`)
		e.page(b, "connect", "Connect Northfold Bank?", "Balances")
		b.Click("form button")
		b.SignIn(customer, e.password)
		if heading := b.Text("h1"); heading != "Share account information with Orchid Budget?" {
			t.Fatalf("the bank asks %q", heading)
		}
		e.choose(b, 0, 1)
		e.page(b, "consent", "Rainy day", "DE55 9999 9999 0000 1200 92", "Northfold Bank")
		b.Click("#allow")
		e.page(b, "accounts", "€3,095.05", "2 accounts at Northfold Bank", "Everyday account", "€2,480.15", "Household", "Fernhill Cycles")
		if text := b.Text("main"); strings.Contains(text, "Rainy day") || strings.Contains(text, "9,300.00") {
			t.Errorf("an account is shown that was not chosen: %s", text)
		}
		b.Click(`a[href="/accounts/DE24999999990000124821"]`)
		e.page(b, "account", "Everyday account", "DE24 9999 9999 0000 1248 21", "Salary", "−€980.00")
	})
	ok = ok && t.Run("refuses an account that was not chosen", func(t *testing.T) {
		e.t = t
		b.Visit(e.orchid + "/accounts/DE55999999990000120092")
		e.page(b, "not-shared", "There is no such account")
		_ = b.Complaints() // the status of that page
	})
	phone := e.telephone()
	ok = ok && t.Run("accepts a payment that is confirmed on the telephone", func(t *testing.T) {
		e.t = t
		b.Visit(e.orchid + "/accounts")
		b.Click(`a[href="/bills/fernhill"]`)
		e.page(b, "bill", "€123.50", "to Fernhill Cycles?", "DE19 9999 9999 0000 1234 56")
		b.Tap("form button")
		b.AwaitText("h1", "Confirm on your telephone")
		word := b.Text(".word")
		e.page(b, "waiting", "Fernhill Cycles", "€123.50", word)
		phone.AwaitText("#requests", word)
		e.page(phone, "device-list", "Fernhill Cycles")
		phone.Look(390, 844, false)
		phone.Click(".requests a")
		e.page(phone, "device", word, "€123.50", "Fernhill Cycles", "Orchid Budget")
		phone.Look(390, 844, false)
		phone.Type("#password", e.password)
		phone.Click("#approve")
		b.AwaitText("h1", "Paid")
		e.page(b, "paid", "€123.50", "to Fernhill Cycles", "Order 20816", "Everyday account")
		b.Click(".actions a")
		if text := b.Text("main"); !strings.Contains(text, "€2,971.55") || !strings.Contains(text, "−€123.50") || strings.Count(text, "Paid") != 1 {
			t.Errorf("after the payment: %s", text)
		}
	})
	ok = ok && t.Run("refuses a payment that is declined on the telephone", func(t *testing.T) {
		e.t = t
		b.Visit(e.orchid + "/bills/quillmere")
		b.Tap("form button")
		b.AwaitText("h1", "Confirm on your telephone")
		word := b.Text(".word")
		phone.Visit(e.issuer + "/device")
		e.decide(phone, word, "deny")
		b.AwaitText("h1", "Nothing was paid")
		e.page(b, "declined", "You declined it on your telephone")
		b.Click(".actions a")
		if text := b.Text("main"); !strings.Contains(text, "€2,971.55") {
			t.Errorf("after a payment that was declined: %s", text)
		}
	})
	ok = ok && t.Run("refuses the application once the user has ended its access at the bank", func(t *testing.T) {
		e.t = t
		b.Click(`a[href="/connection"]`)
		e.page(b, "connection", "Your connection to Northfold Bank", "Household")
		b.Visit(e.issuer + "/account")
		e.page(b, "bank-account", "Orchid Budget")
		b.Click(".row-name a")
		e.page(b, "bank-access", "What you allowed Orchid Budget", "DE51 9999 9999 0000 1277 30", "Northfold Bank's accounts", "€123.50 to Fernhill Cycles")
		b.Click("#end-access")
		b.Visit(e.orchid + "/accounts")
		e.page(b, "ended", "Northfold Bank has ended the connection")
		b.Visit(e.orchid + "/accounts")
		if heading := b.Text("h1"); heading != "All your money on one page" {
			t.Errorf("the session goes on: %s", heading)
		}
	})
	ok = ok && t.Run("refuses what the user does not allow", func(t *testing.T) {
		e.t = t
		b.Click(`a[href="/connect"]`)
		b.Click("form button")
		b.Click("#deny")
		e.page(b, "denied", "Nothing is shared")
		_ = b.Complaints() // the status of that page
	})
	ok = ok && t.Run("accepts the user again, who ends the connection at the application", func(t *testing.T) {
		e.t = t
		b.Visit(e.orchid + "/connect")
		b.Click("form button")
		e.choose(b, 2, 0)
		b.Click("#allow")
		if text := b.Text("main"); !strings.Contains(text, "Rainy day") || strings.Contains(text, "Household") {
			t.Errorf("after choosing others: %s", text)
		}
		b.Visit(e.orchid + "/connection")
		b.Click("form button")
		if heading := b.Text("h1"); heading != "The connection has ended" {
			t.Errorf("the page says %q", heading)
		}
		b.Visit(e.issuer + "/account/ended")
		if text := b.Text("main"); !strings.Contains(text, "Orchid Budget") {
			t.Errorf("the bank does not know of it: %s", text)
		}
	})
	ok = ok && t.Run("refuses a session of who has signed out at the bank", func(t *testing.T) {
		e.t = t
		b.Visit(e.orchid + "/connect")
		b.Click("form button")
		e.choose(b, 0, 1)
		b.Click("#allow")
		if heading := b.Text("h1"); !strings.Contains(heading, "Your money") {
			t.Fatalf("the page says %q", heading)
		}
		b.Visit(e.issuer + "/account")
		b.Click("#sign-out")
		for range 100 {
			if b.Visit(e.orchid + "/accounts"); !strings.Contains(b.Text("h1"), "Your money") {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if heading := b.Text("h1"); heading != "All your money on one page" {
			t.Errorf("the page says %q", heading)
		}
	})
	ok = ok && t.Run("accepts a sign-out at the application, which ends the bank's session too", func(t *testing.T) {
		e.t = t
		e.connect(b)
		b.Click(`nav a[href^="/auth/logout"]`)
		e.page(b, "signed-out", "You are signed out here")
		b.Visit(e.issuer + "/account")
		if heading := b.Text("h1"); heading != "Sign in to Northfold Bank" {
			t.Errorf("at the bank: %q", heading)
		}
	})
	e.t = t
	if !ok {
		return
	}
	b.Done()
	phone.Done()
	if err := e.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		if _, err := net.Dial("tcp", strings.TrimPrefix(e.issuer, "https://")); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the server goes on after the command has ended")
}
