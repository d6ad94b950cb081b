package serve_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
)

// Covers: NM-196. Addresses, timeouts, the size of headers and the form of the log change by reloads under load, and no request is lost;
// an address that cannot be opened is named, and with it nothing of that file is taken.
func TestNM196Listeners(t *testing.T) {
	i := setuptest.New(t)
	free, err := setuptest.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	format := "log_format = .*"
	writeConfig(t, i, format, `log_format = "text"`)
	if i.Config, err = config.Load(i.File); err != nil {
		t.Fatal(err)
	}
	r := startReading(t, i)
	issuer := strings.TrimPrefix(i.Config.Issuer, "https://")
	// at is where clients reach the server, whatever they call it: as behind a load balancer in front of ports.
	var at atomic.Pointer[string]
	at.Store(&i.Config.Listen.Address)
	client := func() *http.Client {
		return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: i.Roots},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, *at.Load())
			},
		}}
	}
	ask := func(c *http.Client, header string) (int, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+issuer+"/token", strings.NewReader("grant_type=none"))
		if err != nil {
			return 0, err
		}
		request.GetBody = nil // nobody sends it again
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if header != "" {
			request.Header.Set("X-Long", header)
		}
		response, err := c.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	answered := func(status int) bool {
		return status == http.StatusUnauthorized || status == http.StatusTooManyRequests
	}
	var ended atomic.Bool
	var sent atomic.Int64
	var lost atomic.Pointer[string]
	var load sync.WaitGroup
	for range 6 {
		c := client()
		load.Go(func() {
			defer c.CloseIdleConnections()
			for !ended.Load() {
				sent.Add(1)
				if status, err := ask(c, ""); err != nil || !answered(status) {
					problem := fmt.Sprint(status, " ", err)
					lost.Store(&problem)
				}
			}
		})
	}
	listen := fmt.Sprintf("address = %q", i.Config.Listen.Address)
	moved := fmt.Sprintf("127.0.0.1:%d", free[0])
	t.Run("accepts the size of headers and timeouts", func(t *testing.T) {
		long := strings.Repeat("x", 60<<10)
		if status, err := ask(client(), long); err == nil && status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%d, %v", status, err)
		}
		writeConfig(t, i, "header_bytes = .*", "header_bytes = 131072", "read_timeout = .*", `read_timeout = "20s"`)
		r.hangup(t, "keys=\"limits.header_bytes, limits.read_timeout", 1)
		if status, err := ask(client(), long); err != nil || !answered(status) {
			t.Errorf("%d, %v", status, err)
		}
	})
	t.Run("refuses an address that another program has, names its key, and takes nothing of that file", func(t *testing.T) {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		writeConfig(t, i, listen, fmt.Sprintf("address = %q", other.Addr().String()), "log_format = .*", `log_format = "json"`)
		r.hangup(t, "configuration reload refused; keeping previous", 1)
		if text := r.log.String(); !strings.Contains(text, "listen.address: another program uses "+other.Addr().String()) {
			t.Errorf("the key is not named:\n%s", text)
		}
		if strings.Contains(r.log.String(), `"msg":`) {
			t.Error("half of it was taken")
		}
	})
	t.Run("accepts another address, and the old one for as long as it is drained", func(t *testing.T) {
		writeConfig(t, i, listen, fmt.Sprintf("address = %q", moved), "drain_time = .*", `drain_time = "2s"`)
		r.hangup(t, "listener opened", 1)
		old := at.Load()
		if status, err := ask(client(), ""); err != nil || !answered(status) {
			t.Errorf("the old address: %d, %v", status, err)
		}
		at.Store(&moved)
		if status, err := ask(client(), ""); err != nil || !answered(status) {
			t.Errorf("the new address: %d, %v", status, err)
		}
		for range 400 {
			if strings.Contains(r.log.String(), "listener closed") {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		if connection, err := net.Dial("tcp", *old); err == nil {
			connection.Close()
			t.Error("the old address is open")
		}
	})
	t.Run("accepts another form of the log", func(t *testing.T) {
		writeConfig(t, i, listen, fmt.Sprintf("address = %q", moved), "drain_time = .*", `drain_time = "2s"`, "log_format = .*", `log_format = "json"`)
		r.hangup(t, `"event":"configuration_reloaded"`, 1)
	})
	ended.Store(true)
	load.Wait()
	t.Run("accepts every request meanwhile", func(t *testing.T) {
		t.Logf("%d requests", sent.Load())
		if problem := lost.Load(); problem != nil || sent.Load() < 20 {
			t.Errorf("%d requests; %v", sent.Load(), problem)
			if problem != nil {
				t.Error(*problem)
			}
		}
	})
	r.stop()
	if err := r.ended(); err != nil {
		t.Error(err)
	}
}
