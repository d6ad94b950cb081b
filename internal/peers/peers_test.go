package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scripts are the themes, in the order in which a newcomer should read them.
var scripts = []string{"code", "assertions", "dpop", "mtls", "tokens", "introspection", "details", "claims", "keys", "registration", "oauth4webapi"}

// leastNode is the first major version of Node.js with all that the scripts need.
const leastNode = 18

// scriptTime bounds a script, so that one that waits for nothing fails with what it had said until then.
const scriptTime = 5 * time.Minute

// TestPeers runs every script against a server that asks for no nonces in DPoP proofs and against one that does.
func TestPeers(t *testing.T) {
	install(t)
	binary := build(t)
	for name, nonces := range map[string]bool{"no nonces": false, "nonces": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t, binary, nonces)
			server := i.serve()
			for _, script := range scripts {
				t.Run(script, func(t *testing.T) { i.run(t, script) })
			}
			server.checkLogs()
		})
	}
}

// TestExpressOpenIDConnect: express-openid-connect, which is made for bearer tokens, signs its users in here with PAR, private_key_jwt and
// tokens that are bound to a certificate, refreshes, signs out, and is told of sign-outs elsewhere.
//
// Covers: RX-01, RX-02.
func TestExpressOpenIDConnect(t *testing.T) { runAlone(t, "express") }

// TestOpenIDClientLogout: openid-client, with DPoP, sends a browser to sign out, and the application with express-openid-connect in which
// the same browser is signed in learns of it.
//
// Covers: RX-03.
func TestOpenIDClientLogout(t *testing.T) { runAlone(t, "logout") }

// runAlone runs one script against a server of its own.
func runAlone(t *testing.T, script string) {
	t.Parallel()
	install(t)
	i := newInstallation(t, build(t), true)
	server := i.serve()
	i.run(t, script)
	server.checkLogs()
}

// install fetches the packages that package-lock.json names, unless they are there.
func install(t *testing.T) {
	t.Helper()
	const advice = "install Node.js 18 or later with npm, on Debian and Ubuntu with: apt-get install nodejs npm"
	version, err := exec.Command("node", "--version").Output()
	if err != nil {
		t.Fatalf("node is missing (%v): %s", err, advice)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(version)), "v"), ".")
	if number, err := strconv.Atoi(major); err != nil || number < leastNode {
		t.Fatalf("node is %s: %s", bytes.TrimSpace(version), advice)
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatalf("npm is missing: %s", advice)
	}
	wanted, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	// What was installed last is written down, so that the packages are fetched once and not for each run.
	const installed = "node_modules/.installed"
	if last, err := os.ReadFile(installed); err == nil && bytes.Equal(last, wanted) {
		return
	}
	output, err := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		t.Fatalf("npm ci: %v; the first time it needs the network\n%s", err, output)
	}
	if err := os.WriteFile(installed, wanted, 0o600); err != nil {
		t.Fatal(err)
	}
}

// build makes the binary that the tests are about. Under the race detector it has one, too.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "countersign")
	command := exec.Command("go", "build", fmt.Sprintf("-race=%v", raceDetector), "-o", binary, "countersign/cmd/countersign")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	return binary
}

// result is a case of a script: one line of its standard output.
type result struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// run runs a script and makes a subtest of each of its cases.
func (i *installation) run(t *testing.T, script string) {
	var output, problems bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), scriptTime)
	defer cancel()
	command := exec.CommandContext(ctx, "node", script+".mjs")
	command.Env = append(os.Environ(), "PEERS_SETTINGS="+i.settings, "NODE_EXTRA_CA_CERTS="+i.authority())
	command.Stdout, command.Stderr = &output, &problems
	failure := command.Run()
	counts := map[string]int{}
	for line := range strings.Lines(output.String()) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("the script wrote %q: %v", line, err)
		}
		kind, _, _ := strings.Cut(r.Name, " ")
		counts[kind]++
		t.Run(r.Name, func(t *testing.T) {
			if !r.OK {
				t.Error(r.Detail)
			}
		})
	}
	if failure != nil {
		t.Errorf("%s.mjs: %v\n%s", script, failure, &problems)
	}
	if counts["accepts"] == 0 || counts["refuses"] == 0 || len(counts) != 2 {
		t.Errorf("%s.mjs has the cases %v; each theme needs what is accepted and what is refused", script, counts)
	}
}
