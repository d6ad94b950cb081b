// Package prometheus holds the alerts to their tests, their runbooks, and the metrics that the server has.
package prometheus

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"countersign/internal/metrics"
)

const rulesFile, testsFile = "countersign.rules.yml", "countersign.rules.test.yml"

// alert is one alert.
type alert struct {
	Name        string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// alerts reads all.
func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	read(t, rulesFile, &file)
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("%d alerts", len(all))
	}
	return all
}

// Covers: NM-14. promtool takes the rules, and what they do is what their tests say.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed: apt-get install prometheus")
	}
	for _, arguments := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", testsFile}} {
		t.Run("accepts promtool "+strings.Join(arguments, " "), func(t *testing.T) {
			if output, err := exec.Command(promtool, arguments...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
	t.Run("refuses rules that do something else", func(t *testing.T) {
		folder := t.TempDir()
		for _, name := range []string{rulesFile, testsFile} {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), `expr: up{job="countersign"} == 0`, `expr: up{job="countersign"} == 2`, 1)
			if err := os.WriteFile(filepath.Join(folder, name), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if output, err := exec.Command(promtool, "test", "rules", filepath.Join(folder, testsFile)).CombinedOutput(); err == nil {
			t.Errorf("passes: %s", output)
		}
	})
}

// Covers: NM-14. Each alert is shown to fire, and to be quiet.
func TestEachIsTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	read(t, testsFile, &file)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, one := range file.Tests {
		for _, rule := range one.Rules {
			if len(rule.Expected) > 0 {
				fires[rule.Alert] = true
			} else {
				quiet[rule.Alert] = true
			}
		}
	}
	for _, alert := range alerts(t) {
		t.Run("accepts "+alert.Name, func(t *testing.T) {
			if !fires[alert.Name] || !quiet[alert.Name] {
				t.Errorf("fires: %v, is quiet: %v", fires[alert.Name], quiet[alert.Name])
			}
		})
	}
}

// Covers: NM-15. Each alert links its runbook, which is there, and each runbook is one of an alert.
func TestRunbooks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		sections[title] = body
	}
	var names []string
	for _, alert := range alerts(t) {
		names = append(names, alert.Name)
		t.Run("accepts "+alert.Name, func(t *testing.T) {
			if want := "docs/alerts.md#" + strings.ToLower(alert.Name); alert.Annotations["runbook_url"] != want {
				t.Errorf("its runbook is at %q, want %q", alert.Annotations["runbook_url"], want)
			}
			for _, word := range []string{"**Means**", "**Look**", "**Do**"} {
				if !strings.Contains(sections[alert.Name], word) {
					t.Errorf("its runbook has no %s", word)
				}
			}
			if severity := alert.Labels["severity"]; severity != "page" && severity != "ticket" || alert.Annotations["summary"] == "" {
				t.Errorf("severity %q, summary %q", severity, alert.Annotations["summary"])
			}
		})
	}
	t.Run("refuses a runbook of no alert", func(t *testing.T) {
		for title := range sections {
			if strings.HasPrefix(title, "Countersign") && !slices.Contains(names, title) {
				t.Errorf("docs/alerts.md has a runbook of %s, which is no alert", title)
			}
		}
	})
}

// Covers: NM-14. The alerts ask for metrics that the server has.
func TestMetricsExist(t *testing.T) {
	known := map[string]bool{}
	for _, metric := range metrics.Catalogue() {
		name := metric.Prometheus()
		for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
			known[name+suffix] = true
		}
	}
	names := regexp.MustCompile(`\b(?:countersign|http|db)_[a-z_]+\b`)
	for _, alert := range alerts(t) {
		t.Run("accepts "+alert.Name, func(t *testing.T) {
			for _, name := range names.FindAllString(alert.Expr, -1) {
				if !known[name] && name != "http_route" && name != "http_response_status_code" {
					t.Errorf("the server has no %s", name)
				}
			}
		})
	}
}
