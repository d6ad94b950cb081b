package helm

import (
	"bytes"
	"crypto/tls"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/internal/devsetup/setuptest"
)

// log is what the server says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits for a text.
func (l *log) await(t *testing.T, want string) {
	t.Helper()
	for range 600 {
		if strings.Contains(l.String(), want) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no %q in the log:\n%s", want, l)
}

// Covers: NM-131. A Secret that changes is read again as a kubelet changes it, all of its files at once by another symbolic link,
// without a signal; one whose files do not fit is not.
func TestNM131Rotation(t *testing.T) {
	program, i := server(t), setuptest.New(t)
	volume := filepath.Join(t.TempDir(), "tls")
	// put is what a kubelet does: a folder of this moment, and a link to it that takes the place of the former.
	put := func(moment string, files map[string]string) {
		t.Helper()
		folder, next := filepath.Join(volume, "..2026_"+moment), filepath.Join(volume, "..data_tmp")
		err := os.MkdirAll(folder, 0o755)
		for _, key := range []string{"tls.crt", "tls.key"} {
			err = errors.Join(err, os.WriteFile(filepath.Join(folder, key), []byte(files[key]), 0o440))
		}
		err = errors.Join(err, os.Symlink(filepath.Base(folder), next), os.Rename(next, filepath.Join(volume, "..data")))
		if err != nil {
			t.Fatal(err)
		}
	}
	first, second := newCertificates(t), newCertificates(t)
	put("1", first)
	text, err := os.ReadFile(i.File)
	for _, key := range []string{"tls.crt", "tls.key"} {
		err = errors.Join(err, os.Symlink(filepath.Join("..data", key), filepath.Join(volume, key)))
	}
	changed := strings.NewReplacer(`"tls/server.crt"`, `"`+filepath.Join(volume, "tls.crt")+`"`, `"tls/server.key"`, `"`+filepath.Join(volume, "tls.key")+`"`).Replace(string(text))
	if err = errors.Join(err, os.WriteFile(i.File, []byte(changed), 0o600)); err != nil {
		t.Fatal(err)
	}
	logs := new(log)
	command := exec.Command(program, "serve", "--config", i.File)
	command.Stdout, command.Stderr = logs, logs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("%v\n%s", err, logs)
		}
	}()
	logs.await(t, "msg=ready")
	serves := func(files map[string]string) bool {
		t.Helper()
		connection, err := tls.Dial("tcp", i.Config.Listen.Address, &tls.Config{InsecureSkipVerify: true}) // it is compared below
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		pair, err := tls.X509KeyPair([]byte(files["tls.crt"]), []byte(files["tls.key"]))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Equal(connection.ConnectionState().PeerCertificates[0].Raw, pair.Certificate[0])
	}
	t.Run("refuses a Secret whose key is another's", func(t *testing.T) {
		put("2", map[string]string{"tls.crt": second["tls.crt"], "tls.key": first["tls.key"]})
		if err := command.Process.Signal(syscall.SIGHUP); err != nil { // sooner than by itself
			t.Fatal(err)
		}
		logs.await(t, "file reload failed; keeping previous")
		if !serves(first) {
			t.Error("it shows another certificate")
		}
	})
	t.Run("accepts a Secret that is whole", func(t *testing.T) {
		put("3", second)
		logs.await(t, "event=files_reloaded")
		if !serves(second) {
			t.Error("it shows the former certificate")
		}
	})
}
