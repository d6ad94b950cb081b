//go:build root

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/internal/devsetup/setuptest"
	"countersign/internal/logbuffer"
	"countersign/softhsm"
)

// image is the image that was built, and a container of it.
type image struct {
	t *testing.T
	// flags are buildah's: a store of its own.
	flags     []string
	container string
	// root is the root of the container, and state what is mounted at /var/lib/countersign.
	root, state string
}

const tag, user = "localhost/countersign:test", 65532

// build builds the program and the image.
func build(t *testing.T) *image {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatal("buildah is missing: apt-get install buildah")
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "countersign")
	if output, err := exec.Command("go", "build", "-o", program, "countersign/cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	store, err := os.MkdirTemp("", "buildah") // a short name: it is in the addresses of sockets
	if err != nil {
		t.Fatal(err)
	}
	i := &image{t: t, flags: []string{"--storage-driver", "vfs", "--root", filepath.Join(store, "root"), "--runroot", filepath.Join(store, "run")}, state: filepath.Join(folder, "state")}
	t.Cleanup(func() {
		_, _ = i.buildah("umount", "--all") // it may not be mounted
		if err := os.RemoveAll(store); err != nil {
			t.Error(err)
		}
	})
	first, second := i.make(program), i.make(program)
	t.Run("accepts the same files as the same image", func(t *testing.T) {
		if first != second || len(first) != 64 {
			t.Errorf("%s and %s", first, second)
		}
	})
	if i.container, err = i.buildah("from", "--pull-never", tag); err != nil {
		t.Fatal(err)
	}
	if i.root, err = i.buildah("mount", i.container); err != nil {
		t.Fatal(err)
	}
	// A container's engine mounts these; buildah makes the places in the container, which is read-only here.
	for _, name := range []string{"run/.containerenv", "etc/hostname"} {
		if err := os.WriteFile(filepath.Join(i.root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(i.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(i.state, user, user); err != nil {
		t.Fatal(err)
	}
	return i
}

// make builds the image and gives its identifier.
func (i *image) make(program string) string {
	i.t.Helper()
	command := exec.Command("sh", "build.sh", tag, program)
	command.Env = append(os.Environ(), "BUILDAH="+strings.Join(i.flags, " "))
	output, err := command.CombinedOutput()
	if err != nil {
		i.t.Fatalf("%v\n%s", err, output)
	}
	lines := strings.Fields(string(output))
	return lines[len(lines)-1]
}

// buildah runs it and gives what it prints.
func (i *image) buildah(arguments ...string) (string, error) {
	output, err := exec.Command("buildah", append(slices.Clone(i.flags), arguments...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("buildah %s: %w\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output)), err
}

// command runs something in the container, on a read-only root. The end of buildah itself says nothing: it cannot clean up
// a root that is read-only.
func (i *image) command(arguments ...string) *exec.Cmd {
	script := `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec buildah "$@"`
	run := append([]string{"--mount", "sh", "-c", script, i.root}, i.flags...)
	run = append(run, "run", "--isolation", "chroot", "--volume", i.state+":/var/lib/countersign", i.container, "--")
	return exec.Command("unshare", append(run, arguments...)...)
}

// run is command to its end, with all that was said.
func (i *image) run(arguments ...string) string {
	output, _ := i.command(arguments...).CombinedOutput() // see command
	before, _, _ := strings.Cut(string(output), "panic: ")
	return before
}

// Covers: NM-120, NM-121.
func TestNM120Image(t *testing.T) {
	i := build(t)
	t.Run("accepts its description", i.describes)
	t.Run("accepts what scanners read", i.lists)
	t.Run("refuses anything but the program and its libraries", i.holds)
	t.Run("accepts to run the program", func(t *testing.T) {
		if said := i.run("/usr/bin/countersign", "version"); !strings.Contains(said, "pkcs11") {
			t.Error(said)
		}
	})
	t.Run("refuses a shell", func(t *testing.T) {
		for _, shell := range []string{"/bin/sh", "sh", "/usr/bin/bash", "/bin/busybox"} {
			if said := i.run(shell, "-c", "echo there is a shell"); strings.Contains(said, "there is a shell") {
				t.Errorf("%s: %s", shell, said)
			}
		}
	})
	ports, err := setuptest.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("/var/lib/countersign/port-%d/countersign.toml", ports[0])
	said := i.run("/usr/bin/countersign", "init", "--dev", "--dir", filepath.Dir(file), "--port", strconv.Itoa(ports[0]), "--mtls-port", strconv.Itoa(ports[1]), "--demo-port", strconv.Itoa(ports[2]))
	if !strings.Contains(said, "made certificates, configuration, database, PS256 key") {
		t.Fatal(said)
	}
	server, logs := i.command("/usr/bin/countersign", "serve", "--config", file), new(logbuffer.Buffer)
	server.Stdout, server.Stderr = logs, logs
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	id := awaitProcess(t, file, logs)
	defer func() { _ = syscall.Kill(id, syscall.SIGKILL) }() // it has ended by then
	t.Run("accepts a user without rights and a root that is read-only", func(t *testing.T) { confined(t, id) })
	t.Run("accepts a flow, signed in SoftHSM2", func(t *testing.T) {
		if said := i.run("/usr/bin/countersign", "demo", "--auto", "--config", file); !strings.Contains(said, "access token") || strings.Contains(said, "countersign: ") {
			t.Errorf("%s\n%s", said, logs)
		}
		if said := i.run("/usr/bin/countersign", "keys", "verify", "--config", file); strings.Count(said, "ok") < 3 {
			t.Error(said)
		}
		if modules := mapped(t, id); !slices.Contains(modules, "/usr/lib/pkcs11/libsofthsm2.so") {
			t.Errorf("no process of the server has loaded SoftHSM2: %s", modules)
		}
	})
	t.Run("accepts a token that p11-kit serves from beside it", func(t *testing.T) { i.sidecar(t, file) })
	t.Run("refuses to write to its root", func(t *testing.T) {
		if said := i.run("/usr/bin/countersign", "backup", "/etc/countersign/copy.db", "--config", file); !strings.Contains(said, "read-only file system") {
			t.Error(said)
		}
	})
	t.Run("accepts to end when it is told to", func(t *testing.T) {
		if err := syscall.Kill(id, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended: // how buildah ends says nothing
		case <-time.After(20 * time.Second):
			t.Fatalf("it does not end:\n%s", logs)
		}
		if !strings.Contains(logs.String(), "stopping; finishing requests in flight") {
			t.Errorf("it logs\n%s", logs)
		}
	})
}

// sidecar serves the token of an installation by p11-kit on a socket, as a sidecar of the chart does, and has the keys be used by way of
// it, with the client in the image.
func (i *image) sidecar(t *testing.T, file string) {
	folder := filepath.Dir(strings.Replace(file, "/var/lib/countersign", i.state, 1))
	conf := filepath.Join(t.TempDir(), "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nlog.level = ERROR\n", filepath.Join(folder, "hsm", "tokens"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	module, err := softhsm.Module()
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{conf, i.state} { // the folders of tests are root's
		for at := filepath.Dir(place); at != "/"; at = filepath.Dir(at) {
			info, err := os.Stat(at)
			if err == nil && info.Mode().Perm()&0o001 == 0 {
				err = os.Chmod(at, info.Mode().Perm()|0o001)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	served := exec.Command("p11-kit", "server", "--foreground", "--provider", module, "--name", filepath.Join(i.state, "socket"), "pkcs11:token=countersign")
	served.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
	served.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, Pdeathsig: syscall.SIGKILL}
	said := new(logbuffer.Buffer)
	served.Stdout, served.Stderr = said, said
	if err := served.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = served.Process.Kill()
		_ = served.Wait() // it was killed
	}()
	for range 100 {
		if _, err := os.Stat(filepath.Join(i.state, "socket")); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	settings, err := os.ReadFile(filepath.Join(folder, "countersign.toml"))
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`(?m)^module = .*$`).ReplaceAllString(string(settings), `module = "/usr/lib/pkcs11/p11-kit-client.so"`)
	changed = regexp.MustCompile(`(?m)^SOFTHSM2_CONF = .*$`).ReplaceAllString(changed, `P11_KIT_SERVER_ADDRESS = "unix:path=/var/lib/countersign/socket"`)
	if !strings.Contains(changed, "P11_KIT_SERVER_ADDRESS") {
		t.Fatalf("the configuration is another:\n%s", settings)
	}
	other := filepath.Join(folder, "sidecar.toml")
	if err := errors.Join(os.WriteFile(other, []byte(changed), 0o600), os.Chown(other, user, user)); err != nil {
		t.Fatal(err)
	}
	printed := i.run("/usr/bin/countersign", "keys", "verify", "--config", filepath.Join(filepath.Dir(file), "sidecar.toml"))
	for _, algorithm := range []string{"PS256", "ES256"} { // p11-kit does not pass EdDSA on
		if !regexp.MustCompile(algorithm + ` .* signs`).MatchString(printed) {
			t.Errorf("%s does not sign: %s\n%s", algorithm, printed, said)
		}
	}
}

// describes looks at the image's configuration.
func (i *image) describes(t *testing.T) {
	text, err := i.buildah("inspect", "--type", "image", tag)
	if err != nil {
		t.Fatal(err)
	}
	var image struct {
		OCIv1 struct {
			Config struct {
				User        string            `json:"User"`
				Env         []string          `json:"Env"`
				Entrypoint  []string          `json:"Entrypoint"`
				Cmd         []string          `json:"Cmd"`
				Labels      map[string]string `json:"Labels"`
				StopSignal  string            `json:"StopSignal"`
				ExposedPort map[string]any    `json:"ExposedPorts"`
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(text), &image); err != nil {
		t.Fatal(err)
	}
	c := image.OCIv1.Config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/bin/countersign"}) || !slices.Equal(c.Cmd, []string{"serve"}) || c.StopSignal != "SIGTERM" || len(c.ExposedPort) != 4 {
		t.Errorf("%+v", c)
	}
	if c.Labels["org.opencontainers.image.version"] == "" || !slices.Contains(c.Env, "COUNTERSIGN_CONFIG=/etc/countersign/countersign.toml") {
		t.Errorf("%+v", c)
	}
}

// lists compares the entries of packages with those of this machine.
func (i *image) lists(t *testing.T) {
	entries, err := filepath.Glob(filepath.Join(i.root, "var/lib/dpkg/status.d/*"))
	if err != nil || len(entries) < 5 {
		t.Fatalf("%d packages, %v", len(entries), err)
	}
	for _, entry := range entries {
		name := filepath.Base(entry)
		text, err := os.ReadFile(entry)
		if err != nil {
			t.Fatal(err)
		}
		version, err := exec.Command("dpkg-query", "--show", "--showformat", "${Version}", name).Output()
		if err != nil || !strings.Contains(string(text), "\nVersion: "+string(version)+"\n") {
			t.Errorf("%s: %v, version %s is not in\n%s", name, err, version, text)
		}
		if _, err := os.Stat(filepath.Join(i.root, "usr/share/doc", name, "copyright")); err != nil {
			t.Error(err)
		}
	}
}

// holds looks for what an image of one program does not need.
func (i *image) holds(t *testing.T) {
	var programs []string
	err := filepath.WalkDir(i.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, i.root)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s: %s", name, info.Mode())
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode().Type() != fs.ModeSymlink && name != "/tmp" {
			t.Errorf("everybody can write %s", name)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && name != "/var/lib/countersign" {
			t.Errorf("%s belongs to %d", name, owner)
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 && !strings.Contains(filepath.Base(name), ".so") {
			programs = append(programs, name)
		}
		return nil
	})
	if err != nil || !slices.Equal(programs, []string{"/usr/bin/countersign"}) {
		t.Errorf("%v: %s", err, programs)
	}
}

// awaitProcess waits until the server is ready, and finds it by the name of its configuration.
func awaitProcess(t *testing.T, file string, logs *logbuffer.Buffer) int {
	t.Helper()
	want := "/usr/bin/countersign\x00serve\x00--config\x00" + file + "\x00"
	for range 400 {
		if strings.Contains(logs.String(), "msg=ready") {
			for _, line := range glob(t, "/proc/[0-9]*/cmdline") {
				if text, err := os.ReadFile(line); err == nil && string(text) == want {
					id, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
					if err != nil {
						t.Fatal(err)
					}
					return id
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("it is not ready:\n%s", logs)
	return 0
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// confined looks at what a process may do, as the kernel tells it.
func confined(t *testing.T, id int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^Uid:\t65532\t65532\t65532\t65532$`, `(?m)^Gid:\t65532\t65532\t65532\t65532$`, `(?m)^CapEff:\t0+$`, `(?m)^CapPrm:\t0+$`} {
		if !regexp.MustCompile(want).Match(status) {
			t.Errorf("%s is not in\n%s", want, status)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", id))
	if err != nil {
		t.Fatal(err)
	}
	root := ""
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); fields[4] == "/" {
			root = fields[5] // the last one is on top
		}
	}
	if !strings.HasPrefix(root, "ro,") {
		t.Errorf("its root is mounted %q:\n%s", root, mounts)
	}
}

// mapped are the libraries that a process and its children have loaded, by their names in the container.
func mapped(t *testing.T, parent int) (found []string) {
	t.Helper()
	for _, file := range glob(t, "/proc/[0-9]*/status") {
		status, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", parent)) {
			continue // it has ended, or is no child
		}
		maps, err := os.ReadFile(filepath.Join(filepath.Dir(file), "maps"))
		if err != nil {
			continue
		}
		for _, library := range regexp.MustCompile(`(?m)\S*(/usr/lib/\S+\.so\S*)$`).FindAllStringSubmatch(string(maps), -1) {
			if !slices.Contains(found, library[1]) {
				found = append(found, library[1])
			}
		}
	}
	return found
}
