package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/mtls"
	"countersign/store/sqlite"
)

// TestNewGate chooses what stands in front of the listener, and refuses what recognises no ingress.
func TestNewGate(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := config.Secret(file("secret", strings.Repeat("s", 43)+"\n"))
	for _, test := range []struct {
		name string
		give config.ListenMTLS
		want string // of the error
	}{
		{"direct", config.ListenMTLS{}, ""},
		{"a socket", config.ListenMTLS{Source: mtls.SourceProxyProtocol, Address: "unix:/run/s"}, ""},
		{"a secret", config.ListenMTLS{Source: mtls.SourceRFC9440, IngressNetworks: "10.0.0.0/8", IngressSecret: secret}, ""},
		{"an unknown source", config.ListenMTLS{Source: "other"}, "listen_mtls.source: "},
		{"a network that is none", config.ListenMTLS{Source: mtls.SourceRFC9440, IngressNetworks: "10"}, "listen_mtls.ingress_networks: "},
		{"authorities that are none", config.ListenMTLS{Source: mtls.SourceRFC9440, IngressCAFile: config.File(file("ca", ""))},
			"holds no certificate in PEM form"},
		{"a secret that is absent", config.ListenMTLS{Source: mtls.SourceRFC9440, IngressNetworks: "10.0.0.0/8", IngressSecret: config.Secret(folder + "/x")},
			"listen_mtls.ingress_secret_file: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := newGate(test.give, time.Now)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestAlarms: a flood of forgeries is in the server's log, and its beginning in the audit log.
func TestAlarms(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	settings := sqlite.Config{File: filepath.Join(t.TempDir(), "test.db"), Now: clock}
	if _, err := sqlite.Migrate(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var logged strings.Builder
	alarms, err := newAlarms(s, "node", clock, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	source, err := mtls.Header(mtls.SourceRFC9440)
	if err != nil {
		t.Fatal(err)
	}
	reached := 0
	guarded := guardCertificates(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }),
		fixedGate(mtls.Gate{Source: source, Headers: mtls.SourceHeaders(mtls.SourceRFC9440), Ingress: mtls.IngressSocket{}}), alarms)
	forge := func(count int) {
		for range count {
			request := httptest.NewRequest(http.MethodPost, "https://login.example/token", http.NoBody)
			request.RemoteAddr = "192.0.2.1:1"
			request.Header.Set("Client-Cert", ":AAAA:")
			answer := httptest.NewRecorder()
			guarded.ServeHTTP(answer, request)
			if answer.Code != http.StatusBadRequest {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
		}
	}
	recorded := func() int {
		evidence, err := s.WaitingEvidence(t.Context(), "", now.Add(time.Hour), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range evidence {
			if e.Chain != "node" || !strings.Contains(string(e.Body), `"event":"client_certificate_`) {
				t.Errorf("%+v", e)
			}
		}
		return len(evidence)
	}
	forge(3 * alarmBurst)
	if got := recorded(); got != alarmBurst {
		t.Errorf("%d are in the audit log, want %d", got, alarmBurst)
	}
	now = now.Add(time.Minute)
	forge(2)
	if got := recorded(); got != alarmBurst+1 {
		t.Errorf("a minute later %d are in the audit log, want one more", got)
	}
	alarms.refusals.lines.Flush(true)
	if got := strings.Count(logged.String(), "event=client_certificate_"); got != firstAlarms+1 || !strings.Contains(logged.String(), fmt.Sprintf("repeated=%d\n", 3*alarmBurst+2-firstAlarms)) {
		t.Errorf("%d are in the server's log:\n%s", got, logged.String())
	}
	if reached != 0 {
		t.Errorf("%d forgeries reached the endpoint", reached)
	}
}
