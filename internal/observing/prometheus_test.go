package observing_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/availability"
	"countersign/internal/dashboards"
	"countersign/internal/metrics"
)

// Covers: NM-01, NM-02, NM-05, NM-06, NM-07, NM-10, NM-11, NM-13. A real Prometheus reads a server under load, on PostgreSQL with a standby and SoftHSM2:
// every query of the dashboards and every alert finds something, labels are those of the catalogue and hold no secret, and an exemplar
// leads from a slow request to its trace through the HSM.
func TestPrometheus(t *testing.T) {
	w := newWorld(t)
	p := w.read()
	b := w.browser(w.demo.Password)
	tokens := w.flow(b)
	w.faults()
	// So long that rates over a minute have something to go by, and a sample was taken after the load.
	for until := time.Now().Add(availability.Look + 5*time.Second); time.Now().Before(until); {
		w.flow(b)
	}
	w.faults()
	eventually(t, "the log is sealed", func() bool {
		found, err := p.query(`sum(countersign_audit_checkpoints_total)`)
		return err == nil && len(found) == 1 && found[0].Value[1] != "0"
	})
	eventually(t, "the code that was used twice is counted", func() bool {
		found, err := p.query(`sum(increase(countersign_audit_entries_total{event="code_used_twice"}[1m]))`)
		return err == nil && len(found) == 1 && found[0].Value[1] != "0"
	})
	p.wantQueries(t)
	p.wantAlerts(t)
	t.Run("accepts labels of the catalogue only", func(t *testing.T) { p.wantLabels(t) })
	w.wantNoSecrets(t, tokens.AccessToken, tokens.RefreshToken, tokens.IDToken, w.demo.Password, "alice")
	t.Run("accepts an exemplar", func(t *testing.T) { p.wantExemplars(t, w.traces) })
}

// filled is a query with the variables of a dashboard filled in.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$issuer", "main").Replace(expr)
}

// wantQueries runs every query of the dashboards.
func (p *prometheus) wantQueries(t *testing.T) {
	var instances []string
	if err := p.ask("/api/v1/label/instance/values", url.Values{"match[]": {"countersign_build"}}, &instances); err != nil || len(instances) != 1 {
		t.Errorf("%s: %v, %v", dashboards.Instances, instances, err)
	}
	var issuers []string
	if err := p.ask("/api/v1/label/issuer/values", url.Values{"match[]": {"countersign_build"}}, &issuers); err != nil || !slices.Equal(issuers, []string{"main"}) {
		t.Errorf("%s: %v, %v", dashboards.Issuers, issuers, err)
	}
	for _, dashboard := range dashboards.Dashboards() {
		for _, row := range dashboard.Rows {
			for _, panel := range row.Panels {
				for _, query := range panel.Queries {
					t.Run("accepts "+panel.Title, func(t *testing.T) {
						found, err := p.query(filled(query.Expr))
						if err != nil {
							t.Fatal(err)
						}
						numbers := slices.ContainsFunc(found, func(v value) bool { return v.Value[1] != "NaN" })
						if !numbers {
							t.Errorf("%s finds %v", filled(query.Expr), found)
						}
						for _, v := range found {
							for _, name := range strings.FieldsFunc(query.Legend, func(r rune) bool { return r == ' ' }) {
								label, ok := strings.CutPrefix(name, "{{")
								if label = strings.TrimSuffix(label, "}}"); ok && legendNeeds(label) && v.Metric[label] == "" {
									t.Errorf("%s: a series without %s: %v", query.Expr, label, v.Metric)
								}
							}
						}
					})
				}
			}
		}
	}
}

// legendNeeds reports whether each series has a label: some are for faults only, or for what has a kind.
func legendNeeds(label string) bool {
	return !slices.Contains([]string{"error_type", "kind", "allowed", "db_operation_name"}, label)
}

// wantAlerts demands that Prometheus evaluates each alert, and that what was done raises those that it should.
func (p *prometheus) wantAlerts(t *testing.T) {
	type rule struct {
		Name, State, Health, LastError string
	}
	firing := map[string]bool{}
	read := func() {
		var all struct{ Groups []struct{ Rules []rule } }
		if err := p.ask("/api/v1/rules", url.Values{}, &all); err != nil {
			t.Fatal(err)
		}
		for _, group := range all.Groups {
			for _, r := range group.Rules {
				if r.Health != "ok" && r.Health != "unknown" {
					t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
				firing[r.Name] = r.State == "firing"
			}
		}
	}
	read()
	if len(firing) < 20 {
		t.Errorf("%d alerts", len(firing))
	}
	for _, name := range []string{"CountersignForgedCertificate", "CountersignCodeUsedTwice"} {
		t.Run("accepts "+name, func(t *testing.T) {
			eventually(t, name+" fires", func() bool {
				read()
				return firing[name]
			})
		})
	}
	for _, name := range []string{"CountersignDown", "CountersignNoNodeReady", "CountersignNotReady", "CountersignWrongSignature", "CountersignClock", "CountersignStandbyBehind"} {
		t.Run("refuses "+name, func(t *testing.T) {
			if firing[name] {
				t.Error("it fires")
			}
		})
	}
}

// wantLabels holds every series to the catalogue, and the catalogue to the series.
func (p *prometheus) wantLabels(t *testing.T) {
	known := map[string][]string{}
	for _, metric := range metrics.Catalogue() {
		labels := []string{"__name__", "instance", "job", "le", metrics.IssuerLabel}
		for _, label := range metric.Labels {
			labels = append(labels, strings.NewReplacer(".", "_").Replace(label))
		}
		known[metric.Prometheus()] = labels
	}
	var series []map[string]string
	if err := p.ask("/api/v1/series", url.Values{"match[]": {`{__name__=~"(countersign|http|db)_.+"}`}}, &series); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, one := range series {
		name := one["__name__"]
		if known[name] == nil {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				name = strings.TrimSuffix(name, suffix)
			}
		}
		seen[name] = true
		if known[name] == nil {
			t.Errorf("%s is not in the catalogue", name)
			continue
		}
		if one[metrics.IssuerLabel] != "main" {
			t.Errorf("%s is of the issuer %q", name, one[metrics.IssuerLabel])
		}
		for label := range one {
			if !slices.Contains(known[name], label) {
				t.Errorf("%s has the label %s, which is not in the catalogue", name, label)
			}
		}
	}
	// What only a failover, or a directory, shows.
	rare := []string{"countersign_store_retries_total", "countersign_directory_document_age_seconds"}
	for name := range known {
		if !seen[name] && !slices.Contains(rare, name) {
			t.Errorf("the server has no %s", name)
		}
	}
	if len(series) > 4000 {
		t.Errorf("%d series of one server with two clients", len(series))
	}
}

// wantNoSecrets reads the metrics as they are, in both forms.
func (w *world) wantNoSecrets(t *testing.T, secrets ...string) {
	for _, accept := range []string{"text/plain", "application/openmetrics-text"} {
		t.Run("refuses secrets in "+accept, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.config.Metrics.Listen+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept", accept)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), "countersign_build") {
				t.Fatalf("%s %v", response.Status, err)
			}
			for _, secret := range append(secrets, w.subjects(t)...) {
				if len(secret) > 3 && strings.Contains(string(text), secret) {
					t.Errorf("the metrics hold %q", secret)
				}
			}
			for _, part := range []string{"eyJ", "urn:ietf:params:oauth:request_uri"} { // any JWT, any request URI
				if strings.Contains(string(text), part) {
					t.Errorf("the metrics hold %q", part)
				}
			}
		})
	}
}

// subjects are those of all users.
func (w *world) subjects(t *testing.T) (subjects []string) {
	t.Helper()
	db := w.open(t)
	defer db.Close()
	users, err := db.Users(t.Context())
	if err != nil || len(users) == 0 {
		t.Fatalf("%d users, %v", len(users), err)
	}
	for _, user := range users {
		subjects = append(subjects, user.Subject)
	}
	return subjects
}

// wantExemplars looks for an exemplar of a request for tokens whose trace has the HSM's time in it.
func (p *prometheus) wantExemplars(t *testing.T, collected *traces) {
	var found []struct {
		SeriesLabels map[string]string
		Exemplars    []struct {
			Labels map[string]string
			Value  json.RawMessage
		}
	}
	parameters := url.Values{
		"query": {`http_server_request_duration_seconds_bucket{http_route="/token"}`}, "start": {time.Now().Add(-5 * time.Minute).Format(time.RFC3339)},
		"end": {time.Now().Format(time.RFC3339)},
	}
	eventually(t, "an exemplar leads to a trace with the HSM in it", func() bool {
		if err := p.ask("/api/v1/query_exemplars", parameters, &found); err != nil {
			t.Fatal(err)
		}
		for _, series := range found {
			for _, exemplar := range series.Exemplars {
				if id := exemplar.Labels["trace_id"]; collected.has(id, "POST /token") && collected.has(id, "signer.Sign") && collected.has(id, "signer.hsm") {
					return true
				}
			}
		}
		return false
	})
}
