// Package helm holds the chart to helm, to the schemas of Kubernetes, and to the server that it starts.
package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// root is that of the module, and chart the chart.
const root, chart = "../..", "countersign"

// tool finds a program that `make packages-kubernetes` has built.
func tool(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{filepath.Join(cache, "countersign-kubernetes", "bin", name), name} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing; make packages-kubernetes installs it", name)
	return ""
}

// run runs a program, and gives what it prints and what else it says.
func run(program string, arguments ...string) (string, error) {
	command := exec.Command(program, arguments...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return out.String(), errors.Join(err, errors.New(problems.String()+out.String()))
	}
	return out.String(), nil
}

// deployments are the values files that the chart is tried with.
func deployments(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d values files, %v", len(files), err)
	}
	return files
}

// render gives the manifests of the chart.
func render(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	return run(tool(t, "helm"), append([]string{"template", "id", chart, "--namespace", "iam", "--kube-version", kubernetes}, arguments...)...)
}

// object is a manifest.
type object map[string]any

// at is what is below keys; nil where there is nothing.
func (o object) at(keys ...string) any {
	var value any = map[string]any(o)
	for _, key := range keys {
		table, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = table[key]
	}
	return value
}

// table is at for a table, empty where there is none.
func (o object) table(keys ...string) object {
	table, _ := o.at(keys...).(map[string]any)
	return table
}

// list is at for a list of tables.
func (o object) list(keys ...string) (all []object) {
	each, _ := o.at(keys...).([]any)
	for _, one := range each {
		table, _ := one.(map[string]any)
		all = append(all, table)
	}
	return all
}

func (o object) text(keys ...string) string {
	text, _ := o.at(keys...).(string)
	return text
}

// objects reads manifests.
func objects(t *testing.T, manifests string) (all []object) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var one map[string]any // and so are those below it
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, manifests)
		}
		if one != nil {
			all = append(all, one)
		}
	}
}

// find gives the one object of a kind with a name.
func find(t *testing.T, all []object, kind, name string) object {
	t.Helper()
	var found []object
	for _, one := range all {
		if one.text("kind") == kind && one.text("metadata", "name") == name {
			found = append(found, one)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects are %s %s", len(found), kind, name)
	}
	return found[0]
}

// rendered gives the objects of one deployment.
func rendered(t *testing.T, values string, arguments ...string) []object {
	t.Helper()
	manifests, err := render(t, append([]string{"--values", values}, arguments...)...)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, manifests)
}

// definitions gives the folder with the definitions of what is no part of Kubernetes: those of the modules that read it.
func definitions(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for module, files := range map[string][]string{
		operator: {"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"},
		gateways: {"config/crd/experimental/gateway.networking.k8s.io_tlsroutes.yaml"},
	} {
		command := exec.Command("go", "mod", "download", "-json", module)
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		out, err := command.Output()
		var found struct{ Dir string }
		if err = errors.Join(err, json.Unmarshal(out, &found)); err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(found.Dir, filepath.FromSlash(file)))
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return folder
}

// kubernetes is the newest release whose schemas kubectl-validate has; helm as the module proxy has it takes itself for an old one.
const kubernetes = "1.30.0"

// operator and gateways are the modules with the definitions of what is no part of Kubernetes.
const (
	operator = "github.com/prometheus-operator/prometheus-operator@v0.79.2"
	gateways = "sigs.k8s.io/gateway-api@v1.3.0"
)
