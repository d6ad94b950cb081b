package ingress

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/internal/logbuffer"
	"countersign/internal/proxies"
)

// proxy is a real ingress, started with its configuration from this folder.
type proxy struct{ proxies.Kind }

// everyRun are the ingresses that every test run starts; build tag ingress adds the others. One that is missing fails
// the test: an ingress that was not tried is not known to be safe.
func everyRun() []proxy {
	var all []proxy
	for _, kind := range proxies.All()[:3] {
		all = append(all, proxy{kind})
	}
	return all
}

// start runs the ingress before a backend and gives its address; replace are pairs of texts, to spoil the configuration.
func (p proxy) start(t *testing.T, folder, backend string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(p.File)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		spoilt := strings.ReplaceAll(string(text), replace[i], replace[i+1])
		if spoilt == string(text) {
			t.Fatalf("%s does not have %q", p.File, replace[i])
		}
		text = []byte(spoilt)
	}
	port := freePort(t)
	_, backendPort, err := net.SplitHostPort(backend)
	if err != nil {
		t.Fatal(err)
	}
	output := new(logbuffer.Buffer)
	process, err := p.Start(text, proxies.Place{Folder: folder, Port: port, Backend: backendPort}, output)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.Program, output)
		}
	})
	address := net.JoinHostPort("127.0.0.1", port)
	for range 300 {
		select {
		case <-process.Ended():
			t.Fatalf("%s ended: %v", p.Program, process.Err())
		case <-time.After(50 * time.Millisecond):
		}
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			return address
		}
	}
	t.Fatalf("%s does not listen", p.Program)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
