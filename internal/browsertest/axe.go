package browsertest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeScript is axe-core, of the version in package-lock.json. It is fetched from npm once, and kept in this folder.
func axeScript(t testing.TB) string {
	t.Helper()
	script, err := fetchedAxe()
	if err != nil {
		t.Fatalf("axe-core is missing: %v (npm is needed, and the network the first time: apt-get install nodejs npm)", err)
	}
	return script
}

var fetchedAxe = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	folder := filepath.Dir(here)
	wanted, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(folder, "package.json"), os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // tests of several packages run at once
		return "", err
	}
	installed := filepath.Join(folder, "node_modules", ".installed")
	if last, err := os.ReadFile(installed); err != nil || !bytes.Equal(last, wanted) {
		command := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			return "", &exec.Error{Name: string(output), Err: err}
		}
		if err := os.WriteFile(installed, wanted, 0o600); err != nil {
			return "", err
		}
	}
	script, err := os.ReadFile(filepath.Join(folder, "node_modules", "axe-core", "axe.min.js"))
	return string(script), err
})

// Violation is what axe-core finds against a rule.
type Violation struct {
	// Rule is its name, such as "color-contrast", and Help what it says.
	Rule, Help string
	// Where are the elements, each with what is wrong with it.
	Where []string
}

// Axe runs axe-core on the page as it is: the rules of WCAG 2.0 to 2.2, levels A and AA, and its best practices. The debugger runs
// it, so that the page's Content-Security-Policy does not apply.
func (b *Browser) Axe() []Violation {
	b.t.Helper()
	loaded := get(b, chromedp.Evaluate[bool](`typeof axe === "object"`))
	if !loaded {
		get(b, chromedp.Evaluate[bool](axeScript(b.t)+"; true"))
	}
	raw := get(b, chromedp.Evaluate[string](runAxe, chromedp.EvalAwaitPromise))
	var violations []Violation
	if err := json.Unmarshal([]byte(raw), &violations); err != nil {
		b.t.Fatalf("axe-core answers %q: %v", raw, err)
	}
	return violations
}

// CheckAxe fails the test for each violation.
func (b *Browser) CheckAxe() {
	b.t.Helper()
	for _, v := range b.Axe() {
		b.t.Errorf("axe at %s: %s: %s: %q", b.where(), v.Rule, v.Help, v.Where)
	}
}

const runAxe = `axe.run(document, {
	runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"], preload: false,
}).then(found => JSON.stringify(found.violations.map(v => ({
	Rule: v.id, Help: v.help, Where: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary),
}))))`
