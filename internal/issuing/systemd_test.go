package issuing_test

import (
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// manager is a service manager's socket, with what it was told.
type manager struct {
	mu   sync.Mutex
	told []string
}

// count is how often something was said.
func (m *manager) count(what string) (times int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, one := range m.told {
		if strings.Contains(one, what) {
			times++
		}
	}
	return times
}

// TestSystemd: a process of several issuers tells systemd what one of a single issuer does. Without that it would be killed for silence.
//
// Covers: NM-201.
func TestSystemd(t *testing.T) { // alone: the environment is the process's
	name := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	must(t, err)
	defer socket.Close()
	m := &manager{}
	go func() {
		text := make([]byte, 4096)
		for {
			n, _, err := socket.ReadFromUnix(text)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(text[:n]))
			m.mu.Unlock()
		}
	}()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", "")
	w := newWorld(t, nil, "b")
	w.serve()
	t.Run("accepts ready, and that it lives", func(t *testing.T) {
		until(t, "it says that it is ready", func() bool { return m.count("READY=1") == 1 })
		until(t, "it says again and again that it lives", func() bool { return m.count("WATCHDOG=1") > 3 })
	})
	t.Run("accepts a reload", func(t *testing.T) {
		w.told()
		until(t, "it says that it reloads, and is ready again", func() bool { return m.count("RELOADING=1") == 1 && m.count("READY=1") == 2 })
	})
	w.stop()
	t.Run("refuses to live on when it has ended", func(t *testing.T) {
		until(t, "it says that it stops", func() bool { return m.count("STOPPING=1") == 1 })
		said := m.count("WATCHDOG=1")
		time.Sleep(500 * time.Millisecond)
		if now := m.count("WATCHDOG=1"); now != said {
			t.Errorf("%d, before %d", now, said)
		}
	})
}
