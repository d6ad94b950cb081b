package helm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// combination is a way to set the chart up that nobody has written down, and what has to be in the manifests.
type combination struct {
	name, values string
	want         []string
}

// least is what each has to say.
const least = `
image: { repository: countersign, tag: "1.0.0" }
tls: { existingSecret: countersign-tls }
database: { existingSecret: countersign-database }
`

// software is an HSM in the image.
const software = least + `
hsm: { token: countersign, module: /usr/lib/pkcs11/vendor.so, pin: { existingSecret: countersign-hsm } }
`

func combinations() []combination {
	return []combination{
		{"texts with quotes and backslashes and other scripts", software + `
config:
  issuer: https://id.bank.example
  scopes:
    - { name: accounts, description: "See \"your\" accounts: 100 % \\ مرحبا <b>&amp;" }
  brand: { name: "Bänk & Söhne \"1870\"" }
`, []string{"Bänk"}},
		{"an issuer with a port and a path", software + `
config: { issuer: "https://id.bank.example:8443/tenants/one" }
ingress: { enabled: true, className: nginx, tlsSecret: id }
`, []string{`host: "id.bank.example"`}},
		{"a sidecar and several nodes and a pooler without network policy", least + `
replicas: 7
config: { issuer: https://id.bank.example }
hsm:
  token: "pkcs11:token=counter%20sign"
  pin: { existingSecret: countersign-hsm }
  client: { type: sidecar, image: registry.bank.example/hsm:1, resources: { limits: { memory: 64Mi } } }
database: { existingSecret: countersign-database, key: pooled, notifyKey: direct }
networkPolicy: { enabled: false }
podDisruptionBudget: { maxUnavailable: 50% }
`, []string{"restartPolicy: Always", "replicas: 7", "maxUnavailable: 50%"}},
		{"a copied client and secrets from elsewhere", `
image: { repository: countersign, tag: "1.0.0" }
config: { issuer: https://id.bank.example }
tls: { volume: { csi: { driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: { secretProviderClass: id } } } }
database: { volume: { csi: { driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: { secretProviderClass: db } } } }
hsm:
  token: countersign
  module: /opt/hsm/vendor.so
  pin: { volume: { csi: { driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: { secretProviderClass: hsm } } } }
  client: { type: copy, image: registry.bank.example/hsm:1, command: [cp, /v/vendor.so, /opt/hsm/] }
`, []string{"secretProviderClass: db"}},
		{"client certificates by nginx with a secret and networks of both kinds", software + `
config:
  issuer: https://id.bank.example
  listen: { ingress_networks: "10.0.0.0/8 fd00::/8" }
  listen_mtls: { source: nginx, ingress_networks: "10.0.0.0/8 fd00::/8", ingress_secret_file: /etc/countersign/ingress/secret }
mtls: { enabled: true, url: "https://mtls.id.bank.example" }
files: [{ name: ingress, secret: ingress-secret }]
`, []string{"ingress_secret_file"}},
		{"client certificates by Envoy that proves itself with Gateways and an Ingress", software + `
config:
  issuer: https://id.bank.example
  listen_mtls: { source: envoy, ingress_ca_file: /etc/countersign/ingress-ca/ca.crt, ingress_name: envoy.bank.example }
mtls: { enabled: true, url: "https://mtls.id.bank.example", clientCA: { configMap: authorities } }
files: [{ name: ingress-ca, configMap: ingress-ca }]
ingress: { enabled: true }
gateway: { enabled: true, parentRefs: [{ name: public }] }
service: { type: NodePort, port: 8443, mtlsPort: 9444 }
`, []string{"port: 9444", "kind: TLSRoute", "kind: Ingress"}},
		{"numbers and booleans and lists of the configuration", software + `
config:
  issuer: https://id.bank.example
  limits: { client_per_second: 25, client_burst: 100000 }
  ciba: { enabled: true, total_per_minute: 20 }
  retention: { }
`, []string{"client_per_second = 25", "client_burst = 100000", "enabled = true"}},
		{"a fixed name of 52 characters with a digest and no drain time", least + `
fullnameOverride: identity-and-access-management-production-europe-1
image: { repository: countersign, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
config: { issuer: https://id.bank.example }
hsm: { token: countersign, module: /usr/lib/pkcs11/vendor.so, pin: { existingSecret: countersign-hsm } }
shutdown: { drainSeconds: 0, requestSeconds: 5 }
`, []string{"name: identity-and-access-management-production-europe-1", "terminationGracePeriodSeconds: 10", `drain_time = "0s"`}},
		{"the admin API and metrics beside one node without a budget", software + `
replicas: 1
config:
  issuer: https://id.bank.example
  admin: { operators: [{ name: alice, certificate_dn: "CN=alice, O=Bank", roles: security_officer }] }
admin: { enabled: true, existingSecret: countersign-admin }
metrics: { enabled: true, existingSecret: countersign-metrics, prometheusRule: { enabled: true } }
podDisruptionBudget: { enabled: false }
serviceAccount: { annotations: { eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/x" } }
`, []string{"name: id-countersign-admin", "role-arn"}},
		{"an environment of the module and tight resources and places of one's own", least + `
config: { issuer: https://id.bank.example }
hsm:
  token: countersign
  module: /usr/lib/pkcs11/vendor.so
  environment: { ChrystokiConfigurationPath: /etc/countersign/luna, "LD_DEBUG": "" }
  pin: { existingSecret: countersign-hsm, key: user-pin }
files: [{ name: luna, configMap: luna }]
resources: { requests: { cpu: 50m, memory: 64Mi }, limits: { cpu: "1", memory: 128Mi } }
affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: kubernetes.io/hostname, labelSelector: { matchLabels: { app.kubernetes.io/name: countersign } } }] } }
topologySpreadConstraints: [{ topologyKey: rack, maxSkew: 2, whenUnsatisfiable: DoNotSchedule }]
extraVolumes: [{ name: scratch, emptyDir: {} }]
extraVolumeMounts: [{ name: scratch, mountPath: /scratch }]
`, []string{"ChrystokiConfigurationPath", "topologyKey: rack", "mountPath: /scratch"}},
	}
}

// Covers: NM-224. TestNM224Combinations: what values say together, however odd, is what Kubernetes takes and a configuration that the
// server accepts; what does not go together is refused by name.
func TestNM224Combinations(t *testing.T) {
	program, certificates, validate, known := server(t), newCertificates(t), tool(t, "kubectl-validate"), definitions(t)
	certificates["secret"] = strings.Repeat("s", 43) + "\n"
	file := func(t *testing.T, text string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range combinations() {
		t.Run("accepts "+c.name, func(t *testing.T) {
			manifests, err := render(t, "--values", file(t, c.values))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(manifests, want) {
					t.Errorf("%s is not in\n%s", want, manifests)
				}
			}
			if _, err := run(validate, "--version", "1.30", "--local-crds", known, file(t, manifests)); err != nil {
				t.Errorf("%v\n%s", err, manifests)
			}
			all := objects(t, manifests)
			for _, one := range all {
				if kind := one.text("kind"); kind != "Deployment" && kind != "Job" {
					continue
				}
				k := &kubelet{t: t, root: t.TempDir(), files: certificates}
				configuration := k.lay(all, one.table("spec", "template", "spec"))
				if output, err := exec.Command(program, "config", "check", "--config", configuration).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", one.text("kind"), err, output)
				}
			}
		})
	}
	for what, test := range map[string][2]string{
		"a sidecar without a PIN's file":      {strings.ReplaceAll(software, "pin: { existingSecret: countersign-hsm }", "pin: { existingSecret: \"\" }"), "existingSecret"},
		"a certificate from two places":       {strings.ReplaceAll(software, "tls: { existingSecret: countersign-tls }", "tls: { existingSecret: countersign-tls, volume: { csi: { driver: x } } }"), "existingSecret"},
		"a configuration key that is missing": {software + "config: { isuer: \"https://id.bank.example\" }", "isuer"},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			if !strings.Contains(test[0], "config:") {
				test[0] += "config: { issuer: https://id.bank.example }\n"
			}
			if _, err := render(t, "--values", file(t, test[0])); err == nil || !strings.Contains(err.Error(), test[1]) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Covers: NM-224. TestNM224Shown: the commands that docs/kubernetes.md has an operator type before a deployment.
func TestNM224Shown(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "kubernetes.md"))
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	path := filepath.Dir(tool(t, "helm")) + string(os.PathListSeparator) + filepath.Dir(tool(t, "kubectl-validate")) + string(os.PathListSeparator) + os.Getenv("PATH")
	try := func(values string) (int, error) {
		typed := 0
		for _, command := range regexp.MustCompile(`(?m)^\$ ((?:helm (?:lint|template)|kubectl-validate) .*)$`).FindAllStringSubmatch(string(page), -1) {
			typed++
			line := strings.NewReplacer("deploy/helm/countersign", "countersign", "bank.yaml", values, "manifests.yaml", filepath.Join(work, "manifests.yaml")).Replace(command[1])
			shell := exec.Command("sh", "-c", line)
			shell.Env = append(os.Environ(), "PATH="+path)
			if output, err := shell.CombinedOutput(); err != nil {
				return typed, fmt.Errorf("%s: %w: %s", line, err, output)
			}
		}
		return typed, nil
	}
	t.Run("accepts what is right", func(t *testing.T) {
		if typed, err := try(filepath.Join(chart, "ci", "volume.yaml")); err != nil || typed != 3 {
			t.Errorf("%d commands: %v", typed, err)
		}
	})
	t.Run("refuses what is not", func(t *testing.T) {
		wrong := filepath.Join(work, "wrong.yaml")
		if err := os.WriteFile(wrong, []byte(software+"config: { issuer: http://id.bank.example }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := try(wrong); err == nil || !strings.Contains(err.Error(), "/config/issuer") {
			t.Errorf("%v", err)
		}
	})
}
