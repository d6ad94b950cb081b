package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"countersign/internal/opencryptoki"
)

// CryptokiToken is opencryptoki's software token, of which a machine has one.
type CryptokiToken struct {
	Module, Label, PIN string

	daemon *Process
	lock   *os.File
}

// NoCryptoki says why opencryptoki cannot be used here; nil when it can.
func NoCryptoki() error {
	_, err := opencryptoki.Module()
	return err
}

// NewCryptoki starts opencryptoki's daemon and makes its software token again. Nobody else has it until it is closed.
func (l *Lab) NewCryptoki(ctx context.Context) (*CryptokiToken, error) {
	module, err := opencryptoki.Module()
	if err != nil {
		return nil, err
	}
	t := &CryptokiToken{Module: module, Label: "lab", PIN: "24681357"}
	if t.lock, err = opencryptoki.Lock(); err != nil {
		return nil, err
	}
	if err := t.make(ctx, filepath.Join(l.Folder, "pkcsslotd.log")); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *CryptokiToken) make(ctx context.Context, log string) error {
	if err := opencryptoki.Clear(); err != nil {
		return err
	}
	var err error
	if t.daemon, err = Run(opencryptoki.Daemon(), log); err != nil {
		return err
	}
	formatted := func(ctx context.Context) bool { return opencryptoki.Format(ctx, t.Label) == nil }
	if err := t.daemon.Await(ctx, 100*time.Millisecond, 20*time.Second, formatted); err != nil {
		return err
	}
	return opencryptoki.SetPIN(ctx, t.PIN)
}

// close ends the daemon, which does not always listen.
func (t *CryptokiToken) close() error {
	if t.daemon != nil {
		late := time.AfterFunc(2*time.Second, t.daemon.Kill)
		t.daemon.End(syscall.SIGTERM)
		late.Stop()
	}
	return t.lock.Close()
}

// OwnCryptoki has opencryptoki's daemon count for the server, and end with it.
func (s *Server) OwnCryptoki(t *CryptokiToken) {
	s.serves(t.daemon.ID)
	s.onClose(func() {
		if err := t.close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: opencryptoki's token was not left:", err)
		}
	})
}

// UseCryptoki has the installation sign with keys in the token, of which it has none yet.
func (i *Installation) UseCryptoki(t *CryptokiToken) error {
	pin := filepath.Join(i.Folder, "opencryptoki-pin")
	if err := os.WriteFile(pin, []byte(t.PIN+"\n"), 0o600); err != nil {
		return err
	}
	return configure(i.Config, map[string]string{
		"signer.module": fmt.Sprintf("%q", t.Module), "signer.token": fmt.Sprintf("%q", t.Label), "signer.pin_file": fmt.Sprintf("%q", pin),
	})
}
