// Package proxies starts real ingresses with the configurations of deploy/ingress, for their tests and for running the
// conformance suite through them.
package proxies

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The placeholders in the configurations that [Kind.Start] replaces.
const (
	folderPlace  = "/etc/countersign/ingress"
	portPlace    = "8445"
	backendPlace = "8444"
	hostPlace    = "mtls.login.example"
)

// Kind is a kind of ingress.
type Kind struct {
	// Source is the value of listen_mtls.source behind it.
	Source string
	// Program is looked for in the PATH and where `make packages-ingress` puts it.
	Program string
	// File is its configuration in deploy/ingress.
	File string
	// arguments start it in the foreground, given its configuration and a folder of its own.
	arguments func(config, folder string) []string
}

// All returns the kinds that can be started. The first three are Debian's packages or a Python wheel; the others take
// longer to install.
func All() []Kind {
	return []Kind{
		{"nginx", "nginx", "nginx.conf", func(config, folder string) []string {
			return []string{"-c", config, "-p", folder, "-e", "stderr", "-g",
				"daemon off; pid " + folder + "/pid; error_log stderr;"}
		}},
		{"haproxy", "haproxy", "haproxy.cfg", func(config, _ string) []string { return []string{"-db", "-f", config} }},
		{"envoy", "envoy", "envoy.yaml", func(config, _ string) []string {
			return []string{"-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"}
		}},
		{"apache", "apache2", "apache.conf", func(config, folder string) []string {
			return []string{"-X", "-f", config, "-d", folder, "-c", "PidFile " + folder + "/pid", "-c", "ErrorLog /dev/stderr",
				"-c", "Mutex file:" + folder}
		}},
		{"caddy", "caddy", "Caddyfile", func(config, _ string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", config}
		}},
	}
}

// Find returns the kind with a name. The error lists the names.
func Find(source string) (Kind, error) {
	var names []string
	for _, k := range All() {
		if k.Source == source {
			return k, nil
		}
		names = append(names, k.Source)
	}
	return Kind{}, fmt.Errorf("there is no ingress %q; there are %s", source, strings.Join(names, ", "))
}

// path returns the path of the program.
func (k Kind) path() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	ours := filepath.Join(cache, "countersign-ingress")
	for _, name := range []string{k.Program, "/usr/sbin/" + k.Program, filepath.Join(ours, "bin", k.Program),
		filepath.Join(ours, "envoy", "envoy", "_bin", k.Program)} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing; make packages-ingress installs it", k.Program)
}

// Place has the folder and the addresses of an ingress.
type Place struct {
	// Folder is an absolute path. It holds server.crt and server.key, ingress.crt and ingress.key (both also as .pem,
	// certificate and key together), upstream-ca.crt and clients-ca.crt; the configuration is written there too.
	Folder string
	// Port is what the ingress listens on, Backend the port of the server's listener for client certificates, on
	// 127.0.0.1.
	Port, Backend string
	// Host is the name in server.crt and in the certificate of the server; empty for the one in the configurations.
	Host string
}

// Process is a running ingress.
type Process struct {
	command *exec.Cmd
	ended   chan struct{}
	result  error
}

// Start starts the ingress with a configuration, the text of its file in deploy/ingress. Only the
// placeholders of [Place] are replaced; for a user who is not root, nginx also writes into the folder. The
// ingress logs to output.
func (k Kind) Start(text []byte, place Place, output io.Writer) (*Process, error) {
	program, err := k.path()
	if err != nil {
		return nil, err
	}
	for _, wanted := range []string{folderPlace, portPlace, backendPlace, hostPlace} {
		if !bytes.Contains(text, []byte(wanted)) {
			return nil, fmt.Errorf("%s does not have %s", k.File, wanted)
		}
	}
	if place.Host == "" {
		place.Host = hostPlace
	}
	config := filepath.Join(place.Folder, k.File)
	replaced := strings.NewReplacer(folderPlace, place.Folder, portPlace, place.Port, backendPlace, place.Backend,
		hostPlace, place.Host).Replace(string(text))
	if k.Program == "nginx" {
		replaced = NginxWithoutRoot(replaced, place.Folder)
	}
	if err := os.WriteFile(config, []byte(replaced), 0o600); err != nil {
		return nil, err
	}
	p := &Process{command: exec.Command(program, k.arguments(config, place.Folder)...), ended: make(chan struct{})}
	p.command.Env = append(os.Environ(), "HOME="+place.Folder, "ENVOY_UID=0")
	p.command.Stdout, p.command.Stderr = output, output
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		if p.result = p.command.Wait(); p.result == nil {
			p.result = errors.New("it ended")
		}
		close(p.ended)
	}()
	return p, nil
}

// NginxWithoutRoot changes a configuration of nginx so that it can be run by who is not root, who may not write where
// distributions have it log and keep what does not fit into memory. For root it stays as it is.
func NginxWithoutRoot(config, folder string) string {
	if os.Geteuid() == 0 {
		return config
	}
	own := "http {\n    access_log off;\n"
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		own += "    " + what + "_temp_path " + folder + "/" + what + ";\n"
	}
	return strings.Replace(config, "http {\n", own, 1)
}

// Ended is closed when the ingress has ended; then [Process.Err] returns why.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err returns how the ingress ended. It must be called after [Process.Ended] is closed.
func (p *Process) Err() error { return p.result }

// Stop ends the ingress with SIGINT, and with SIGKILL after 5 s.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.command.Process.Kill() // the same
		<-p.ended
	}
}
