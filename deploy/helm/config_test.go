package helm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/softhsm"
)

// built is the folder with the program, once it is wanted.
var built string

// binary is the program, built for the first test that wants it.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "countersign")
	if err != nil {
		return "", err
	}
	built = folder
	program := filepath.Join(folder, "countersign")
	output, err := exec.Command("go", "build", "-o", program, "countersign/cmd/countersign").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return program, nil
})

// TestMain removes it.
func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // it is in the folder for temporary files
	}
	os.Exit(code)
}

// server gives the program.
func server(t *testing.T) string {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Covers: NM-124. The configuration that the chart writes is accepted by the server, with the files where a kubelet puts them:
// behind symbolic links, with the modes of the manifest.
func TestNM124Configuration(t *testing.T) {
	program, certificates := server(t), newCertificates(t)
	check := func(file string) (string, error) {
		output, err := exec.Command(program, "config", "print", "--config", file).CombinedOutput()
		return string(output), err
	}
	for _, values := range deployments(t) {
		for _, kind := range []string{"Deployment", "Job"} {
			all := rendered(t, values)
			var pod object
			for _, one := range all {
				if one.text("kind") == kind {
					pod = one.table("spec", "template", "spec")
				}
			}
			if pod == nil && kind == "Job" {
				continue // the migration is somebody else's matter there
			}
			t.Run("accepts "+filepath.Base(values)+" in its "+kind, func(t *testing.T) {
				k := &kubelet{t: t, root: t.TempDir(), files: certificates}
				file := k.lay(all, pod)
				output, err := check(file)
				if err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
				if want := find(t, all, "ConfigMap", configName(pod)).text("data", "countersign.toml"); !strings.Contains(output, first(t, want, `(?m)^issuer = .*$`)) {
					t.Errorf("another issuer in\n%s", output)
				}
			})
		}
	}
	all := rendered(t, filepath.Join(chart, "ci", "bank.yaml"))
	pod := find(t, all, "Deployment", "id-countersign").table("spec", "template", "spec")
	for what, test := range map[string]struct {
		spoil func(k *kubelet)
		want  string
	}{
		"a secret that everybody can read": {func(k *kubelet) { k.mode("hsm-pin", 0o444) }, "signer.pin_file"},
		"a secret without its key":         {func(k *kubelet) { k.remove("database", "direct") }, "store.notify_url_file"},
		"a certificate of another key":     {func(k *kubelet) { k.remove("tls", "tls.key"); k.put("tls", "tls.key", newCertificates(k.t)["tls.key"]) }, "listen.key_file"},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			k := &kubelet{t: t, root: t.TempDir(), files: certificates}
			file := k.lay(all, pod)
			test.spoil(k)
			if output, err := check(file); err == nil || !strings.Contains(output, test.want) {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
	t.Run("refuses a value that only the server knows to be wrong", func(t *testing.T) {
		all := rendered(t, filepath.Join(chart, "ci", "minimal.yaml"), "--set", "config.profiles=fapi2-securty")
		k := &kubelet{t: t, root: t.TempDir(), files: certificates}
		file := k.lay(all, find(t, all, "Deployment", "id-countersign").table("spec", "template", "spec"))
		if output, err := check(file); err == nil || !strings.Contains(output, "fapi2-securty") {
			t.Errorf("%v\n%s", err, output)
		}
	})
}

func first(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindString(text)
	if found == "" {
		t.Fatalf("%s is not in\n%s", pattern, text)
	}
	return found
}

// configName is the ConfigMap that a pod mounts as its configuration.
func configName(pod object) string {
	for _, volume := range pod.list("volumes") {
		if volume.text("name") == "config" {
			return volume.text("configMap", "name")
		}
	}
	return ""
}

// kubelet lays out what a pod mounts, below a folder of the test.
type kubelet struct {
	t    *testing.T
	root string
	// files are what Secrets and ConfigMaps hold, by key.
	files map[string]string
	// places are where volumes are mounted.
	places map[string]string
}

// lay makes the files of all mounts of a pod's first container, and gives the configuration, whose file names are below root.
func (k *kubelet) lay(all []object, pod object) string {
	k.t.Helper()
	k.places = map[string]string{}
	text := find(k.t, all, "ConfigMap", configName(pod)).text("data", "countersign.toml")
	moved := regexp.MustCompile(`= "/`).ReplaceAllString(text, `= "`+k.root+"/")
	for _, mount := range pod.list("containers")[0].list("volumeMounts") {
		place := filepath.Join(k.root, mount.text("mountPath"))
		if mount.text("subPath") != "" {
			continue
		}
		k.must(os.MkdirAll(place, 0o755))
		k.places[mount.text("name")] = place
	}
	for _, volume := range pod.list("volumes") {
		place, mounted := k.places[volume.text("name")]
		if !mounted || volume.at("emptyDir") != nil || volume.at("persistentVolumeClaim") != nil {
			continue
		}
		mode := fs.FileMode(0o644)
		if given, ok := volume.at("secret", "defaultMode").(int); ok {
			mode = fs.FileMode(given) | 0o040 // fsGroup
		} else if volume.at("configMap") == nil {
			mode = 0o440 // as docs/kubernetes.md has the others write them
		}
		// As a kubelet does: the files are in a folder of this moment, which ..data leads to.
		moment := filepath.Join(place, "..2026_11_30_19_00_00.1")
		k.must(errors.Join(os.Mkdir(moment, 0o755), os.Symlink(filepath.Base(moment), filepath.Join(place, "..data"))))
		for key, content := range k.files {
			if !strings.Contains(moved, filepath.Join(place, key)) && filepath.Base(place) != "softhsm" {
				continue
			}
			k.must(errors.Join(os.WriteFile(filepath.Join(moment, key), []byte(content), mode), os.Chmod(filepath.Join(moment, key), mode),
				os.Symlink(filepath.Join("..data", key), filepath.Join(place, key))))
		}
	}
	module := first(k.t, moved, `(?m)^module = ".*"$`)
	module = strings.TrimSuffix(strings.TrimPrefix(module, `module = "`), `"`)
	real, err := softhsm.Module()
	k.must(errors.Join(err, os.MkdirAll(filepath.Dir(module), 0o755), os.Symlink(real, module)))
	file := filepath.Join(k.root, "etc/countersign/countersign.toml")
	k.must(os.WriteFile(file, []byte(moved), 0o644))
	return file
}

func (k *kubelet) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kubelet) mode(volume string, mode fs.FileMode) {
	k.t.Helper()
	entries, err := filepath.Glob(filepath.Join(k.places[volume], "..2*", "*"))
	k.must(err)
	for _, file := range entries {
		k.must(os.Chmod(file, mode))
	}
}

func (k *kubelet) remove(volume, key string) {
	k.t.Helper()
	k.must(os.Remove(filepath.Join(k.places[volume], "..data", key)))
}

func (k *kubelet) put(volume, key, content string) {
	k.t.Helper()
	k.must(os.WriteFile(filepath.Join(k.places[volume], "..data", key), []byte(content), 0o440))
}

// newCertificates are the files of all Secrets and ConfigMaps, by key.
func newCertificates(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "id.bank.example"}, DNSNames: []string{"id.bank.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	address := "postgres://countersign:secret@db.bank.example/countersign?sslmode=verify-full\n"
	return map[string]string{
		"tls.crt": certificate, "ca.crt": certificate, "authorities.pem": certificate, "intermediates.crt": certificate,
		"tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"url":     address, "pooled": address, "direct": address, "pin": "1234\n", "user-pin": "1234\n",
		"softhsm2.conf": "directories.tokendir = /var/lib/countersign\n",
	}
}
