package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// schemathesis installs the pinned packages, unless they are there, and gives the program.
func schemathesis(t *testing.T) string {
	t.Helper()
	const pinned = "testdata/schemathesis/requirements.txt"
	wanted, err := os.ReadFile(pinned)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(wanted)
	folder := filepath.Join(cache, "countersign-schemathesis", hex.EncodeToString(digest[:8]))
	program, installed := filepath.Join(folder, "bin", "schemathesis"), filepath.Join(folder, ".installed")
	if _, err := os.Stat(installed); err == nil {
		return program
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", "--clear", folder},
		{filepath.Join(folder, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "-r", pinned},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v; install Python with venv (apt-get install python3-venv); the first time it needs the network\n%s",
				strings.Join(command, " "), err, output)
		}
	}
	if err := os.WriteFile(installed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return program
}

// handles are those that a login gets for new interactions.
func (a *application) handles(i *installation, login string, count int) (handles []string) {
	a.t.Helper()
	for range count {
		_, address := a.begin()
		v := i.visitor(a.t)
		v.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
			if next.URL.Host == login {
				handles = append(handles, next.URL.Query().Get("handle"))
				return http.ErrUseLastResponse
			}
			return nil
		}
		v.open(address)
	}
	if len(handles) != count {
		a.t.Fatalf("%d handles for %d interactions", len(handles), count)
	}
	return handles
}

// Covers: KE-46. TestKE46LoginAPI: whatever the backend of a login sends, it gets no error of the server, and no answer that
// docs/api/login-v1.yaml does not describe. What is sent is made up by schemathesis, from that description.
func TestKE46LoginAPI(t *testing.T) {
	t.Parallel()
	program := schemathesis(t)
	i := newInstallation(t)
	folder, login := t.TempDir(), "localhost:1"
	newCertificate(t, filepath.Join(folder, "login"))
	i.edited(t, `^\[login\]\n`, fmt.Sprintf("[login]\naddress = \"https://%s/\"\ncertificate_file = %q\nacr_values = \"urn:northfold:password\"\nconfirmations = true\n",
		login, filepath.Join(folder, "login.crt")))
	var alice struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal([]byte(i.run("users", "show", "alice", "--json")), &alice); err != nil {
		t.Fatal(err)
	}
	asker := i.asker("Orchid Budget")
	a := i.application(t, "orchid", "Orchid Budget")
	server := i.serve()
	for range 3 {
		asker.ask("alice", "ROSE-42", "")
	}
	answers, given := filepath.Join(folder, "answers"), filepath.Join(folder, "given.json")
	content, err := json.Marshal(map[string]any{
		"base": "https://" + i.mtls, "certificate": filepath.Join(folder, "login.crt"), "key": filepath.Join(folder, "login.key"),
		"authority": filepath.Join(i.folder, "tls", "ca.crt"), "handles": a.handles(i, login, 40), "subject": alice.Subject,
		"acr": "urn:northfold:password",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(given, content, 0o600); err != nil {
		t.Fatal(err)
	}
	hooks, err := filepath.Abs("testdata/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	document, err := filepath.Abs("../../docs/api/login-v1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "run", document, "--url", "https://"+i.mtls,
		"--tls-verify", filepath.Join(i.folder, "tls", "ca.crt"),
		"--request-cert", filepath.Join(folder, "login.crt"), "--request-cert-key", filepath.Join(folder, "login.key"),
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"+
			"response_schema_conformance,unsupported_method",
		"--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--seed", "20816", "--workers", "1", "--continue-on-failure",
		"--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "20")
	command.Dir = folder
	authority := filepath.Join(i.folder, "tls", "ca.crt")
	command.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+authority, "CURL_CA_BUNDLE="+authority, "PYTHONPATH="+hooks, "PYTHONDONTWRITEBYTECODE=1", "SCHEMATHESIS_HOOKS=hooks", "GIVEN="+given, "ANSWERS="+answers, "NO_COLOR=1")
	began := time.Now()
	output, err := command.CombinedOutput()
	t.Logf("schemathesis took %s", time.Since(began).Round(time.Second))
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, output)
	}
	if logged := server.logs.String(); strings.Contains(logged, "level=ERROR") || strings.Contains(logged, "panic") {
		t.Errorf("the server says\n%s", logged)
	}
	lines, err := os.ReadFile(answers)
	if err != nil {
		t.Fatal(err)
	}
	had := strings.Fields(strings.ReplaceAll(string(lines), " ", "_"))
	for _, want := range []string{
		"accepts GET /login/v1/interactions/{handle} 200", "accepts POST /login/v1/interactions/{handle} 200",
		"accepts GET /login/v1/confirmations 200", "accepts GET /login/v1/confirmations/{confirmation_id} 200",
		"accepts POST /login/v1/confirmations/{confirmation_id} 200",
		"refuses GET /login/v1/interactions/{handle} 404", "refuses POST /login/v1/interactions/{handle} 400",
		"refuses POST /login/v1/interactions/{handle} 404", "refuses POST /login/v1/interactions/{handle} 409",
		"refuses POST /login/v1/interactions/{handle} 415", "refuses GET /login/v1/confirmations 400",
		"refuses POST /login/v1/confirmations/{confirmation_id} 400",
	} {
		t.Run(want, func(t *testing.T) {
			_, answer, _ := strings.Cut(want, " ")
			if !slices.Contains(had, strings.ReplaceAll(answer, " ", "_")) {
				t.Errorf("among %d answers is none of these", len(had))
			}
		})
	}
}
