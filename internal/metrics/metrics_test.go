package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/fapi/event"
	"countersign/internal/audit"
	"countersign/signer"
	"countersign/store"
)

// fixture is a Metrics by a clock that is moved.
type fixture struct {
	*testing.T
	*Metrics
	clock time.Time
}

func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: time.Unix(1_800_000_000, 0)}
	config := Config{Version: "v1", Node: "node", Database: "postgresql", OtherClients: 2, Now: func() time.Time { return f.clock }}
	for _, c := range change {
		c(&config)
	}
	var err error
	if f.Metrics, err = New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// text is what is served.
func (f *fixture) text(accept string) string {
	f.Helper()
	request := httptest.NewRequestWithContext(f.Context(), http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	served := NewProcess("v1", "node")
	served.Show(f.Metrics)
	served.Handler().ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		f.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// wants demands lines.
func (f *fixture) wants(t *testing.T, lines ...string) {
	t.Helper()
	text := f.text("text/plain")
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			var near []string
			for have := range strings.Lines(text) {
				if strings.HasPrefix(have, name) {
					near = append(near, have)
				}
			}
			t.Errorf("no line\n%s\nbut\n%s", line, strings.Join(near, ""))
		}
	}
}

// Covers: NM-01, NM-02. Requests are counted by method, route, status and outcome; a client beyond the bound, and a code that is none, are
// others.
func TestRequests(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Clients = []string{"bank-app"} })
	answer := func(client, outcome string, status int) {
		f.Arrived(t.Context(), "POST")
		f.Answered(t.Context(), event.Request{Method: "POST", Route: "/token", ClientID: client, Outcome: outcome, Status: status, Took: 30 * time.Millisecond})
	}
	f.Arrived(t.Context(), "GET")
	for _, client := range []string{"one", "two", "three", "four", "bank-app", ""} {
		answer(client, "ok", 200)
	}
	answer("one", "temporarily_unavailable", 503)
	answer("one", "Eve's \"code\"", 400)
	for i := range 2 * mostOutcomes {
		answer("", "made_up_"+strings.Repeat("x", i%40), 400)
	}
	t.Run("accepts a request", func(t *testing.T) {
		f.wants(t,
			`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/token",oauth_outcome="ok",url_scheme="https"} 6`,
			`http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="200",http_route="/token",oauth_outcome="ok",url_scheme="https",le="0.025"} 0`,
			`http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="200",http_route="/token",oauth_outcome="ok",url_scheme="https",le="0.05"} 6`,
			`http_server_request_duration_seconds_count{error_type="temporarily_unavailable",http_request_method="POST",http_response_status_code="503",http_route="/token",oauth_outcome="temporarily_unavailable",url_scheme="https"} 1`,
			`http_server_active_requests{http_request_method="POST",url_scheme="https"} 0`,
			`http_server_active_requests{http_request_method="GET",url_scheme="https"} 1`,
		)
	})
	t.Run("accepts clients up to the bound", func(t *testing.T) {
		f.wants(t,
			`countersign_client_requests_total{http_route="/token",oauth_client_id="bank-app",oauth_outcome="ok"} 1`,
			`countersign_client_requests_total{http_route="/token",oauth_client_id="one",oauth_outcome="ok"} 1`,
			`countersign_client_requests_total{http_route="/token",oauth_client_id="two",oauth_outcome="ok"} 1`,
			`countersign_client_requests_total{http_route="/token",oauth_client_id="other",oauth_outcome="ok"} 2`,
		)
	})
	t.Run("refuses what is beyond it", func(t *testing.T) {
		text := f.text("text/plain")
		for _, part := range []string{"three", "four", "Eve"} {
			if strings.Contains(text, part) {
				t.Errorf("it holds %s", part)
			}
		}
		if outcomes := strings.Count(text, "http_server_request_duration_seconds_count{"); outcomes > mostOutcomes+3 {
			t.Errorf("%d series", outcomes)
		}
	})
}

// Covers: NM-03, NM-04. Answers of the store are no failures; who was first is counted, by kind.
func TestVerbs(t *testing.T) {
	f := newFixture(t)
	for _, err := range []error{
		nil, store.ErrNotFound, store.ErrExpired, store.ErrRevoked, store.ErrConsumed, store.ErrConflict, &store.ReplayedError{Kind: store.KindDPoP},
		fmt.Errorf("finish: %w", &store.ReplayedError{Kind: "logout_token"}),
		&store.ClockError{}, fmt.Errorf("%w: locked", store.ErrOverloaded), store.ErrUnavailable, errors.New("the disk is on fire"), context.Canceled,
	} {
		f.Verb(t.Context(), "Push", time.Millisecond, err)
	}
	f.Retried(t.Context(), "Push")
	t.Run("accepts answers", func(t *testing.T) {
		f.wants(t, `db_client_operation_duration_seconds_count{db_operation_name="Push",db_system_name="postgresql"} 8`)
	})
	for _, failure := range []string{"clock", "overloaded", "unavailable", "failed", "canceled"} {
		t.Run("accepts the failure "+failure, func(t *testing.T) {
			f.wants(t, `db_client_operation_duration_seconds_count{db_operation_name="Push",db_system_name="postgresql",error_type="`+failure+`"} 1`)
		})
	}
	text := f.text("text/plain")
	t.Run("refuses to take an answer for a failure", func(t *testing.T) {
		failures := regexp.MustCompile(`db_client_operation_duration_seconds_count\{[^}]*error_type="([^"]*)"`).FindAllStringSubmatch(text, -1)
		if len(failures) != 5 {
			t.Errorf("%d failures: %q", len(failures), failures)
		}
	})
	t.Run("refuses to take what is not there any more for a conflict", func(t *testing.T) {
		for _, found := range regexp.MustCompile(`countersign_store_conflicts_total\{[^}]*reason="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains([]string{"replayed", "consumed", "conflict"}, found[1]) {
				t.Errorf("%s is counted", found[1])
			}
		}
	})
	t.Run("accepts conflicts", func(t *testing.T) {
		f.wants(t,
			`countersign_store_conflicts_total{kind="dpop",reason="replayed"} 1`, `countersign_store_conflicts_total{kind="logout_token",reason="replayed"} 1`,
			`countersign_store_conflicts_total{reason="consumed"} 1`, `countersign_store_conflicts_total{reason="conflict"} 1`,
			`countersign_store_conflicts_total{kind="client_assertion",reason="replayed"} 0`,
			`countersign_store_retries_total{db_operation_name="Push"} 1`)
	})
}

// Covers: NM-05. Uses of keys are measured by HSM, algorithm and use, with what kept them from being done.
func TestKeys(t *testing.T) {
	f := newFixture(t)
	use := func(of signer.Use, err error) {
		f.Used(t.Context(), signer.Usage{Replica: "pkcs11:token=one", Algorithm: signer.PS256, Use: of, Took: 3 * time.Millisecond, Err: err})
	}
	use(signer.UseIDToken, nil)
	use("", nil)
	for name, err := range map[string]error{
		"overloaded": signer.ErrOverloaded, "unavailable": signer.ErrUnavailable, "no_key": signer.ErrNoKey, "wrong_signature": signer.ErrWrongSignature,
		"ciphertext": signer.ErrCiphertext, "failed": errors.New("x"), "canceled": fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Canceled),
	} {
		use(signer.UseAccessToken, err)
		t.Run("accepts "+name, func(t *testing.T) {
			f.wants(t, `countersign_hsm_duration_seconds_count{algorithm="PS256",error_type="`+name+`",hsm="pkcs11:token=one",use="access_token"} 1`)
		})
	}
	t.Run("accepts success", func(t *testing.T) {
		f.wants(t, `countersign_hsm_duration_seconds_count{algorithm="PS256",hsm="pkcs11:token=one",use="id_token"} 1`,
			`countersign_hsm_duration_seconds_count{algorithm="PS256",hsm="pkcs11:token=one",use="trial"} 1`)
	})
}

// Covers: NM-06. Entries are counted by kind and event, and what is in evidence that is no event is other; the time since the first entry
// that is not sealed grows until it is.
func TestEntries(t *testing.T) {
	f := newFixture(t)
	f.wants(t, `countersign_audit_unsealed_age_seconds 0`, `countersign_audit_checkpoints_total 0`)
	f.Appended(audit.SecurityEvent, event.ConsentDecided, "true")
	f.Appended(audit.SecurityEvent, "alice@bank.example", "alice")
	f.Appended("<script>", "", "")
	f.clock = f.clock.Add(90 * time.Second)
	f.Appended(audit.RequestObject, "", "")
	t.Run("accepts entries", func(t *testing.T) {
		f.wants(t, `countersign_audit_entries_total{allowed="true",event="consent_decided",kind="event"} 1`,
			`countersign_audit_entries_total{event="other",kind="event"} 1`, `countersign_audit_entries_total{kind="other"} 1`,
			`countersign_audit_entries_total{kind="request_object"} 1`, `countersign_audit_unsealed_age_seconds 90`,
			`countersign_audit_entries_total{allowed="false",event="backchannel_decided",kind="event"} 0`)
	})
	t.Run("refuses a user's name", func(t *testing.T) {
		if text := f.text("text/plain"); strings.Contains(text, "alice") || strings.Contains(text, "<script") {
			t.Error("it is there")
		}
	})
	f.Sealed(f.clock)
	t.Run("accepts a checkpoint", func(t *testing.T) {
		f.wants(t, `countersign_audit_unsealed_age_seconds 0`, `countersign_audit_checkpoints_total 1`)
	})
}

// Covers: NM-07. A sample is shown for a minute, and then not any more: what is not known is not said.
func TestSamples(t *testing.T) {
	f := newFixture(t)
	at := f.clock
	f.Sampled(Sample{
		At: at, Schema: 26,
		Backlogs: []store.Backlog{{Kind: store.BacklogPings, Waiting: 3, Oldest: at.Add(-time.Minute)}, {Kind: store.BacklogEvidence}},
		Standbys: []store.Standby{{Name: "walreceiver", Lag: 1500 * time.Millisecond}},
		Keys: []signer.Record{
			{ID: "a", Algorithm: signer.PS256, Uses: []signer.Use{signer.UseIDToken}, State: signer.Active, CreatedAt: at.Add(-3 * time.Hour), ActivatedAt: at.Add(-2 * time.Hour)},
			{ID: "b", Algorithm: signer.ES256, Uses: []signer.Use{signer.UseEvidence}, State: signer.Retiring, RetiredAt: at.Add(-time.Hour)},
			{ID: "c", Algorithm: signer.ES256, Uses: []signer.Use{signer.UseEvidence}, State: signer.Published, CreatedAt: at.Add(-time.Minute)},
		},
		Replicas: []signer.ReplicaState{{Name: "one", Resting: true, Load: signer.Load{Using: 2, Waiting: 7, Expected: 300 * time.Millisecond, Refused: 5, Started: 2}}},
		Pool:     &store.Pool{Used: 3, Idle: 1, Most: 16, Waiting: 2, Refused: 9}, Condition: &store.Condition{Notifications: errors.New("a pooler")},
		NotReady: map[string]error{"store": nil, "hsm": errors.New("away")}, Ends: map[string]time.Time{"listen.certificate_file": at.Add(time.Hour)},
		Documents: []Document{{Directory: "uk", Kind: "keys", FetchedAt: at.Add(-10 * time.Minute)}},
	})
	f.clock = at.Add(SampleLasts)
	t.Run("accepts a sample", func(t *testing.T) {
		f.wants(t,
			`countersign_backlog_waiting{kind="pings"} 3`, `countersign_backlog_age_seconds{kind="pings"} 60`, `countersign_backlog_age_seconds{kind="evidence"} 0`,
			`countersign_store_standby_lag_seconds{standby="walreceiver"} 1.5`, `countersign_store_schema{db_system_name="postgresql"} 26`,
			`countersign_key_age_seconds{algorithm="PS256",kid="a",state="active",use="id_token"} 7200`,
			`countersign_key_age_seconds{algorithm="ES256",kid="b",state="retiring",use="evidence"} 3600`,
			`countersign_key_age_seconds{algorithm="ES256",kid="c",state="published",use="evidence"} 60`,
			`countersign_hsm_waiting{hsm="one"} 7`, `countersign_hsm_using{hsm="one"} 2`, `countersign_hsm_expected_seconds{hsm="one"} 0.3`,
			`countersign_hsm_refused_total{hsm="one"} 5`, `countersign_hsm_starts_total{hsm="one"} 2`, `countersign_hsm_resting{hsm="one"} 1`,
			`db_client_connection_count{db_client_connection_pool_name="countersign",db_client_connection_state="used"} 3`,
			`db_client_connection_max{db_client_connection_pool_name="countersign"} 16`,
			`db_client_connection_pending_requests{db_client_connection_pool_name="countersign"} 2`, `countersign_store_refused_total 9`,
			`countersign_store_condition{part="notifications"} 0`, `countersign_store_condition{part="clock"} 1`,
			`countersign_ready{part="store"} 1`, `countersign_ready{part="hsm"} 0`,
			`countersign_certificate_not_after_seconds{file="listen.certificate_file"} 1.8000036e+09`,
			`countersign_directory_document_age_seconds{directory="uk",document="keys"} 600`,
		)
	})
	f.clock = f.clock.Add(time.Second)
	t.Run("refuses an old one", func(t *testing.T) {
		if text := f.text("text/plain"); strings.Contains(text, "countersign_ready") || strings.Contains(text, "countersign_key_age") {
			t.Error("it is shown")
		}
	})
}

// Covers: NM-08. What is refused in front of the endpoints is counted, and 0 before; what is no event is other.
func TestRefusals(t *testing.T) {
	f := newFixture(t)
	t.Run("accepts that there were none", func(t *testing.T) {
		f.wants(t, `countersign_ingress_refusals_total{event="client_certificate_forged"} 0`, `countersign_client_certificate_refusals_total 0`)
	})
	f.IngressRefused(t.Context(), "client_certificate_forged")
	f.CertificateRefused(t.Context())
	t.Run("accepts refusals", func(t *testing.T) {
		f.wants(t, `countersign_ingress_refusals_total{event="client_certificate_forged"} 1`, `countersign_client_certificate_refusals_total 1`)
	})
	t.Run("refuses the name of what is no event", func(t *testing.T) {
		f.IngressRefused(t.Context(), "alice@bank.example")
		f.wants(t, `countersign_ingress_refusals_total{event="other"} 1`)
		if strings.Contains(f.text("text/plain"), "alice") {
			t.Error("it is there")
		}
	})
}

// Covers: NM-11. In OpenMetrics a value that was measured within a trace which is kept names it; others do not.
func TestExemplars(t *testing.T) {
	f := newFixture(t)
	within := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{0xab, byte(flags)}, SpanID: trace.SpanID{0xcd}, TraceFlags: flags,
		}))
	}
	for _, flags := range []trace.TraceFlags{trace.FlagsSampled, 0} {
		f.Answered(within(flags), event.Request{Method: "POST", Route: "/token", Outcome: "ok", Status: 200, Took: time.Duration(1+flags) * time.Second})
	}
	text := f.text("application/openmetrics-text")
	t.Run("accepts the trace that is kept", func(t *testing.T) {
		if !strings.Contains(text, `trace_id="ab010000000000000000000000000000"`) {
			t.Errorf("no exemplar in\n%s", text)
		}
	})
	t.Run("refuses one that is not", func(t *testing.T) {
		if strings.Contains(text, `trace_id="ab000000000000000000000000000000"`) {
			t.Error("it has an exemplar")
		}
	})
}

// Covers: NM-10. Metrics are sent to a collector, with the headers; when it is away that is told once, and once when it is back.
func TestPush(t *testing.T) {
	var away atomic.Bool
	received, turnedAway := make(chan string, 100), make(chan struct{}, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			turnedAway <- struct{}{}
			return
		}
		unzip, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(unzip)
		received <- r.URL.Path + " " + r.Header.Get("X-Key") + " " + string(body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	failed, recovered := make(chan error, 100), make(chan struct{}, 100)
	f := newFixture(t, func(c *Config) {
		c.Push = &Push{
			Endpoint: collector.URL + "/", Headers: map[string]string{"X-Key": "k"}, Every: 20 * time.Millisecond,
			Failed: func(err error) { failed <- err }, Recovered: func() { recovered <- struct{}{} },
		}
	})
	f.Verb(t.Context(), "Push", time.Millisecond, nil)
	t.Run("accepts a collector", func(t *testing.T) {
		for {
			if got := <-received; strings.HasPrefix(got, "/v1/metrics k ") && strings.Contains(got, "db.client.operation.duration") &&
				strings.Contains(got, "service.instance.id") {
				return
			}
		}
	})
	t.Run("refuses to tell more than once of one that is away", func(t *testing.T) {
		away.Store(true)
		if err := <-failed; err == nil {
			t.Error("told of nothing")
		}
		for range 3 { // with the third, what came of the second is known
			<-turnedAway
		}
		if len(failed) != 0 {
			t.Errorf("told %d times more", len(failed))
		}
	})
	t.Run("accepts one that comes back", func(t *testing.T) {
		away.Store(false)
		<-recovered
		if len(failed) != 0 {
			t.Errorf("told %d times more", len(failed))
		}
	})
}

// Covers: NM-16. What is measured of a request allocates nothing, once its labels are known, whether it was answered or refused.
func TestAllocations(t *testing.T) {
	f := newFixture(t)
	ctx, request := t.Context(), event.Request{Method: "POST", Route: "/token", ClientID: "one", Outcome: "ok", Status: 200, Took: time.Millisecond}
	usage := signer.Usage{Replica: "one", Algorithm: signer.PS256, Use: signer.UseIDToken, Took: time.Millisecond}
	refused := request
	refused.Outcome, refused.Status = "invalid_grant", 400
	t.Run("accepts a request that is answered", func(t *testing.T) {
		got := testing.AllocsPerRun(1000, func() {
			f.Arrived(ctx, "POST")
			f.Verb(ctx, "Push", time.Millisecond, nil)
			f.Used(ctx, usage)
			f.Answered(ctx, request)
		})
		if got > 0 {
			t.Errorf("%v allocations", got)
		}
	})
	t.Run("refuses a request, and allocates nothing either", func(t *testing.T) {
		got := testing.AllocsPerRun(1000, func() {
			f.IngressRefused(ctx, "client_certificate_forged")
			f.CertificateRefused(ctx)
			f.Arrived(ctx, "POST")
			f.Verb(ctx, "Finish", time.Millisecond, store.ErrConsumed)
			f.Answered(ctx, refused)
		})
		if got > 0 {
			t.Errorf("%v allocations", got)
		}
	})
}
