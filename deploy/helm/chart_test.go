package helm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Covers: NM-122. The chart passes helm lint, and what it renders is what Kubernetes takes, for each way to set it up.
func TestNM122Manifests(t *testing.T) {
	helm, validate, known := tool(t, "helm"), tool(t, "kubectl-validate"), definitions(t)
	check := func(t *testing.T, manifests string) error {
		t.Helper()
		file := filepath.Join(t.TempDir(), "manifests.yaml")
		if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := run(validate, "--version", "1.30", "--local-crds", known, file)
		return err
	}
	kinds := map[string]bool{}
	for _, values := range deployments(t) {
		t.Run("accepts "+filepath.Base(values), func(t *testing.T) {
			if _, err := run(helm, "lint", "--strict", chart, "--values", values); err != nil {
				t.Error(err)
			}
			manifests, err := render(t, "--values", values)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(t, manifests); err != nil {
				t.Errorf("%v\n%s", err, manifests)
			}
			for _, one := range objects(t, manifests) {
				kinds[one.text("kind")] = true
			}
		})
	}
	for _, kind := range []string{"Deployment", "Service", "ConfigMap", "Job", "Ingress", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount", "ServiceMonitor", "PrometheusRule", "TLSRoute"} {
		if !kinds[kind] {
			t.Errorf("no values file gives a %s", kind)
		}
	}
	manifests, err := render(t, "--values", filepath.Join(chart, "ci", "bank.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][3]string{
		"a field that there is not":          {"minReadySeconds:", "readySeconds:", "readySeconds"},
		"a number that is text":              {"maxSkew: 1", "maxSkew: one", "maxSkew"},
		"an unknown field of another's kind": {"scheme: https", "schema: https", "schema"},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			changed := strings.Replace(manifests, pair[0], pair[1], 1)
			if changed == manifests {
				t.Fatalf("%s is not in the manifests", pair[0])
			}
			if err := check(t, changed); err == nil || !strings.Contains(err.Error(), pair[2]) {
				t.Errorf("%s is not named: %v", pair[2], err)
			}
		})
	}
}

// Covers: NM-123. Wrong values are refused by the schema, by name.
func TestNM123Schema(t *testing.T) {
	bank := filepath.Join(chart, "ci", "bank.yaml")
	t.Run("accepts another value", func(t *testing.T) {
		if _, err := render(t, "--values", bank, "--set", "replicas=5,config.tokens.access_token_lifetime=5m,podDisruptionBudget.maxUnavailable=20%"); err != nil {
			t.Error(err)
		}
	})
	for what, test := range map[string]struct{ set, want string }{
		"no issuer":                            {"config.issuer=", "/config/issuer"},
		"an issuer by http":                    {"config.issuer=http://id.bank.example", "/config/issuer"},
		"an unknown value":                     {"replicaCount=3", "replicaCount"},
		"an unknown key of config":             {"config.tokens.lifetime=5m", "lifetime"},
		"a duration that is none":              {"config.tokens.access_token_lifetime=soon", "/config/tokens/access_token_lifetime"},
		"an algorithm that FAPI forbids":       {"config.tokens.access_token_algorithm=RS256", "/config/tokens/access_token_algorithm"},
		"a listener that the chart sets":       {"config.listen.address=0.0.0.0:443", "address"},
		"a PIN in the values":                  {"config.signer.pin_env=PIN", "pin_env"},
		"a database beside PostgreSQL":         {"config.store.driver=sqlite", "driver"},
		"a drain time beside the chart's":      {"config.limits.drain_time=1s", "drain_time"},
		"no node":                              {"replicas=0", "/replicas"},
		"a secret without a name":              {"database.existingSecret=", "/database/existingSecret"},
		"a secret and a volume in its place":   {"database.volume.csi.driver=secrets-store.csi.k8s.io", "/database/existingSecret"},
		"routes of no Gateway":                 {"gateway.enabled=true", "/gateway/parentRefs"},
		"client certificates without a URL":    {"mtls.url=", "/mtls/url"},
		"a sidecar without an image":           {"hsm.client.image=", "/hsm/client/image"},
		"a volume that is none":                {"hsm.client.type=volume", "/hsm"},
		"a client of an HSM that is unknown":   {"hsm.client.type=network", "/hsm/client/type"},
		"a sidecar with privileges":            {"hsm.client.securityContext.privileged=true", "privileged"},
		"a sidecar as root":                    {"hsm.client.securityContext.runAsNonRoot=false", "runAsNonRoot"},
		"a digest that is none":                {"image.digest=sha256:12", "/image/digest"},
		"metrics without a certificate":        {"metrics.existingSecret=", "/metrics/existingSecret"},
		"monitoring without metrics":           {"metrics.enabled=false", "/metrics/serviceMonitor/enabled"},
		"an admin API without a certificate":   {"admin.existingSecret=", "/admin/existingSecret"},
		"an admin listener beside the chart's": {"config.admin.listen=0.0.0.0:9000", "listen"},
		"a file with a name of the chart's":    {"files[0].name=hsm", "/files/0/name"},
		"a file from two places":               {"files[0].secret=other", "/files/0"},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			_, err := render(t, "--values", bank, "--set", test.set)
			if err == nil {
				t.Fatal("it is rendered")
			}
			// helm names a place as a path or as keys with dots, by its release.
			said := err.Error()
			if !strings.Contains(said, test.want) && !strings.Contains(said, strings.ReplaceAll(strings.TrimPrefix(test.want, "/"), "/", ".")) {
				t.Errorf("%s is not in: %v", test.want, err)
			}
			if !strings.Contains(said, "schema") {
				t.Errorf("not the schema refuses it: %v", err)
			}
		})
	}
}

// Covers: NM-125. Each container of each deployment is held to what Kubernetes calls restricted, and more: its root is read-only
// and it has no token of the cluster.
func TestNM125Hardened(t *testing.T) {
	for _, values := range deployments(t) {
		all := rendered(t, values)
		t.Run("accepts "+filepath.Base(values), func(t *testing.T) {
			pods := 0
			for _, one := range all {
				if one.text("kind") != "Deployment" && one.text("kind") != "Job" {
					continue
				}
				pods++
				for _, weak := range weaknesses(one.table("spec", "template", "spec")) {
					t.Errorf("%s: %s", one.text("kind"), weak)
				}
			}
			if pods == 0 {
				t.Error("there is no pod")
			}
		})
	}
	deployment := find(t, rendered(t, filepath.Join(chart, "ci", "minimal.yaml")), "Deployment", "id-countersign").table("spec", "template", "spec")
	container := deployment.list("containers")[0]
	for what, weaken := range map[string]func(){
		"a root that can be written": func() { container.table("securityContext")["readOnlyRootFilesystem"] = false },
		"capabilities":               func() { delete(container.table("securityContext"), "capabilities") },
		"a token of the cluster":     func() { deployment["automountServiceAccountToken"] = true },
		"the machine's network":      func() { deployment["hostNetwork"] = true },
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			weaken()
			if len(weaknesses(deployment)) == 0 {
				t.Error("nothing is found")
			}
		})
	}
}

// weaknesses are what a pod has that it should not.
func weaknesses(pod object) (found []string) {
	want := func(met bool, what string) {
		if !met {
			found = append(found, what)
		}
	}
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		want(pod.at(key) == nil, key)
	}
	want(pod.at("automountServiceAccountToken") == false, "a token of the cluster is mounted")
	want(pod.at("securityContext", "runAsNonRoot") == true && pod.at("securityContext", "fsGroup") != nil, "the pod's security context")
	for _, volume := range pod.list("volumes") {
		want(volume.at("hostPath") == nil, "a folder of the machine is mounted")
		if secret := volume.table("secret"); len(secret) > 0 {
			want(secret.at("defaultMode") == 0o400, fmt.Sprintf("the secret %s is open", secret.text("secretName")))
		}
	}
	for _, container := range slices.Concat(pod.list("containers"), pod.list("initContainers")) {
		name, context := container.text("name"), container.table("securityContext")
		want(context.at("allowPrivilegeEscalation") == false, name+" may gain privileges")
		want(context.at("privileged") != true, name+" is privileged")
		want(context.at("readOnlyRootFilesystem") == true || name == "hsm-client", name+" can write its root")
		want(context.at("runAsNonRoot") == true && context.at("runAsUser") != 0, name+" may be root")
		want(context.at("seccompProfile", "type") == "RuntimeDefault", name+" has no seccomp profile")
		drops, _ := context.at("capabilities", "drop").([]any)
		want(slices.Contains(drops, any("ALL")) && context.at("capabilities", "add") == nil, name+" has capabilities")
		for _, variable := range container.list("env") {
			want(variable.at("valueFrom") == nil, name+" has a secret in its environment")
		}
	}
	return found
}

// Covers: NM-126. A pod is given the time that a node takes to end, readiness takes it out at once, liveness is slow to kill it,
// and two nodes are never away together by the cluster's own doing.
func TestNM126Lifecycle(t *testing.T) {
	for name, want := range map[string]struct{ grace, sleep int }{"minimal": {35, 0}, "bank": {55, 5}} {
		all := rendered(t, filepath.Join(chart, "ci", name+".yaml"))
		deployment := find(t, all, "Deployment", "id-countersign")
		pod := deployment.table("spec", "template", "spec")
		server := pod.list("containers")[0]
		t.Run("accepts the times of "+name, func(t *testing.T) {
			if got := pod.at("terminationGracePeriodSeconds"); got != want.grace {
				t.Errorf("%v s to end, want %d", got, want.grace)
			}
			if slept, _ := server.at("lifecycle", "preStop", "sleep", "seconds").(int); slept != want.sleep {
				t.Errorf("%d s before SIGTERM, want %d", slept, want.sleep)
			}
			text := find(t, all, "ConfigMap", "id-countersign").text("data", "countersign.toml")
			drain := map[string]string{"minimal": `drain_time = "10s"`, "bank": `drain_time = "15s"`}[name]
			if !strings.Contains(text, drain) {
				t.Errorf("%s is not in\n%s", drain, text)
			}
			ready, live := server.table("readinessProbe"), server.table("livenessProbe")
			if ready.at("periodSeconds") != 2 || ready.at("failureThreshold") != 1 || ready.text("httpGet", "path") != "/health/ready" || ready.text("httpGet", "scheme") != "HTTPS" {
				t.Errorf("readiness: %v", ready)
			}
			if live.text("httpGet", "path") != "/health/live" || live.at("failureThreshold").(int) < 3 {
				t.Errorf("liveness: %v", live)
			}
			if rolling := deployment.table("spec", "strategy", "rollingUpdate"); rolling.at("maxUnavailable") != 0 || rolling.at("maxSurge") != 1 {
				t.Errorf("%v", rolling)
			}
			if spread := pod.list("topologySpreadConstraints"); len(spread) == 0 {
				t.Error("pods are not spread")
			}
			budget := find(t, all, "PodDisruptionBudget", "id-countersign")
			if budget.at("spec", "maxUnavailable") != 1 || fmt.Sprint(budget.at("spec", "selector")) != fmt.Sprint(deployment.at("spec", "selector")) {
				t.Errorf("%v", budget)
			}
		})
		t.Run("accepts the migration of "+name+" before the nodes", func(t *testing.T) {
			job := find(t, all, "Job", "id-countersign-migrate")
			if hook := job.text("metadata", "annotations", "helm.sh/hook"); hook != "pre-install,pre-upgrade" {
				t.Errorf("hook %s", hook)
			}
			migrate := job.table("spec", "template", "spec").list("containers")[0]
			if args := fmt.Sprint(migrate.at("args")); args != "[migrate up]" || migrate.text("image") != server.text("image") {
				t.Errorf("%s by %s", args, migrate.text("image"))
			}
			if own := find(t, all, "ConfigMap", "id-countersign-migrate"); own.text("data", "countersign.toml") != find(t, all, "ConfigMap", "id-countersign").text("data", "countersign.toml") {
				t.Error("it has another configuration")
			}
		})
	}
	t.Run("refuses time without an end", func(t *testing.T) {
		if _, err := render(t, "--values", filepath.Join(chart, "ci", "minimal.yaml"), "--set", "shutdown.drainSeconds=3600"); err == nil {
			t.Error("an hour to drain")
		}
	})
}

// Covers: NM-127. The alerts of the chart are those of deploy/prometheus, with their runbooks, and nodes are scraped as the job
// that they name.
func TestNM127Alerts(t *testing.T) {
	ours, err := os.ReadFile(filepath.Join(chart, "files", "countersign.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(root, "deploy", "prometheus", "countersign.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts the alerts that are tested", func(t *testing.T) {
		if !bytes.Equal(ours, theirs) {
			t.Error("the alerts of the chart are others; go run ./deploy/helm/generate")
		}
		all := rendered(t, filepath.Join(chart, "ci", "bank.yaml"))
		rule, count := find(t, all, "PrometheusRule", "id-countersign"), 0
		for _, group := range rule.list("spec", "groups") {
			for _, alert := range group.list("rules") {
				count++
				if alert.text("expr") == "" || !strings.HasPrefix(alert.text("annotations", "runbook_url"), "docs/alerts.md#") {
					t.Errorf("%v", alert)
				}
			}
		}
		if want := strings.Count(string(theirs), "- alert:"); count != want {
			t.Errorf("%d alerts, want %d", count, want)
		}
		monitor := find(t, all, "ServiceMonitor", "id-countersign")
		service := find(t, all, "Service", "id-countersign-metrics")
		if label := monitor.text("spec", "jobLabel"); service.text("metadata", "labels", label) != "countersign" {
			t.Errorf("the job is %q", service.text("metadata", "labels", label))
		}
	})
	t.Run("refuses alerts where there is nothing to watch", func(t *testing.T) {
		for _, one := range rendered(t, filepath.Join(chart, "ci", "minimal.yaml")) {
			if kind := one.text("kind"); kind == "PrometheusRule" || kind == "ServiceMonitor" {
				t.Errorf("there is a %s", kind)
			}
		}
	})
}
