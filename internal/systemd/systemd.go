// Package systemd tells the service manager what state the server is in (sd_notify(3)), and that it lives (WatchdogSec=). Without
// systemd it does nothing.
package systemd

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// State is what the service manager is told.
type State string

// The states.
const (
	// Ready: the listeners are open, or what was read again is in use.
	Ready State = daemon.SdNotifyReady
	// Reloading: files are read again; Ready follows.
	Reloading State = daemon.SdNotifyReloading
	// Stopping: requests in flight are finished.
	Stopping State = daemon.SdNotifyStopping
)

// Notify tells the state. An error is that of the socket in NOTIFY_SOCKET.
func Notify(state State) error {
	text := string(state)
	if state == Reloading {
		text += "\n" + daemon.SdNotifyMonotonicUsec() // systemd 253 and later want it with Type=notify-reload
	}
	_, err := daemon.SdNotify(false, text)
	return err
}

// Watch tells that the process lives, twice in each WatchdogSec= of the unit, while alive returns nil, until ctx ends. When it is
// told no more, the service manager restarts the server. failed is called when it cannot be told. Without WatchdogSec= it returns
// at once; an error means that the environment says nothing sensible of it.
func Watch(ctx context.Context, alive func() error, failed func(error)) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return err
	}
	ticker := time.NewTicker(limit / 2)
	defer ticker.Stop()
	for {
		if alive() == nil {
			if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
				failed(err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
