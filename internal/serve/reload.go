package serve

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"countersign/internal/config"
	"countersign/mtls"
)

// Hangups has SIGHUP not end this process from now on, but come out of the channel.
func Hangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}

// reloaded is what was read from files that are read again when they change.
type reloaded struct {
	// key is that of the configuration.
	key   string
	files []config.Secret
	// load reads and checks them, and returns what puts them into use.
	load func() (use func(), err error)

	// used is the digest of what is in use, refused of what was reported as unusable, seen of what was found unusable once.
	used, refused, seen [sha256.Size]byte
}

// content is the digest of the files, or of why they cannot be read.
func (r *reloaded) content() (digest [sha256.Size]byte) {
	h := sha256.New()
	for _, file := range r.files {
		var text []byte
		path, err := file.Path()
		if err == nil {
			text, err = os.ReadFile(path)
		}
		fmt.Fprintf(h, "%d %v\n", len(text), err)
		h.Write(text)
	}
	h.Sum(digest[:0])
	return digest
}

// reloader reads files again when they change, or when it is told to.
type reloader struct {
	items []*reloaded
	// others reload on their own account.
	others []func(context.Context)
	log    *slog.Logger
}

// add has files read again. They have been read before.
func (r *reloader) add(key string, files []config.Secret, load func() (use func(), err error)) {
	if r == nil {
		return // it is only tried
	}
	item := &reloaded{key: key, files: files, load: load}
	item.used = item.content()
	r.items = append(r.items, item)
}

// also has something reload on its own account.
func (r *reloader) also(reload func(context.Context)) {
	if r != nil {
		r.others = append(r.others, reload)
	}
}

// run reads what has changed until ctx ends; at each signal at once.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		told := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-signals:
			told = true
			r.log.InfoContext(ctx, "SIGHUP; reading changed files again")
		}
		r.check(ctx, told)
	}
}

// check reads what has changed. Files that belong together are not written at the same moment: what cannot be used is reported
// when it is still the same the next time, or at once when somebody says that all is written.
func (r *reloader) check(ctx context.Context, told bool) {
	for _, item := range r.items {
		r.reload(ctx, item, told)
	}
	for _, other := range r.others {
		other(ctx)
	}
}

func (r *reloader) reload(ctx context.Context, item *reloaded, told bool) {
	content := item.content()
	if content == item.used {
		item.refused, item.seen = [sha256.Size]byte{}, [sha256.Size]byte{}
		return
	}
	if content == item.refused && !told {
		return
	}
	use, err := item.load()
	switch {
	case err == nil && item.content() == content: // or else it is being written, and read the next time
		use()
		item.used = content
		r.log.InfoContext(ctx, "audit", "event", "files_reloaded", "key", item.key)
	case err == nil:
	case told || content == item.seen:
		item.refused = content
		r.log.ErrorContext(ctx, "file reload failed; keeping previous", "key", item.key, "error", err.Error())
	default:
		item.seen = content
	}
}

// served is the certificate of the listeners, which changes while they are open.
type served struct {
	current atomic.Pointer[tls.Certificate]
}

// newServed reads the certificate, and has it read again.
func newServed(c config.Listen, now func() time.Time, reload *reloader) (*served, error) {
	certificate, err := Certificate(c)
	if err != nil {
		return nil, err
	}
	s := &served{}
	s.current.Store(&certificate)
	reload.add("listen.certificate_file, listen.key_file", []config.Secret{config.Secret(c.CertificateFile), c.KeyFile}, func() (func(), error) {
		certificate, err := Certificate(c)
		if err != nil {
			return nil, err
		}
		leaf, err := x509.ParseCertificate(certificate.Certificate[0])
		switch at := now(); {
		case err != nil:
			return nil, fmt.Errorf("listen.certificate_file: %w", err)
		case at.After(leaf.NotAfter):
			return nil, fmt.Errorf("listen.certificate_file: the certificate expired on %s", leaf.NotAfter.UTC().Format(time.RFC3339))
		case at.Before(leaf.NotBefore):
			return nil, fmt.Errorf("listen.certificate_file: the certificate is valid from %s on", leaf.NotBefore.UTC().Format(time.RFC3339))
		}
		return func() { s.current.Store(&certificate) }, nil
	})
	return s, nil
}

// config is that of a listener: connections that are open keep the certificate that they were opened with.
func (s *served) config(requestClientCertificate bool) *tls.Config {
	made := mtls.ServerConfig(nil, requestClientCertificate)
	made.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current.Load(), nil }
	return made
}

// gates is the gate in front of the listener for client certificates, which changes while it is open.
type gates struct{ current atomic.Pointer[mtls.Gate] }

// newGates makes the gate, and has what it reads read again.
func newGates(c config.ListenMTLS, now func() time.Time, reload *reloader) (*gates, error) {
	gate, err := newGate(c, now)
	if err != nil {
		return nil, err
	}
	g := &gates{}
	g.current.Store(&gate)
	var files []config.Secret
	for _, file := range []config.Secret{config.Secret(c.IngressCAFile), c.IngressSecret, c.IngressOldSecret} {
		if file != "" {
			files = append(files, file)
		}
	}
	if gate.Ingress == nil || len(files) == 0 {
		return g, nil
	}
	reload.add("listen_mtls.ingress", files, func() (func(), error) {
		changed, err := newGate(c, now)
		return func() { g.current.Store(&changed) }, err
	})
	return g, nil
}

// fixedGate is a gate that never changes.
func fixedGate(gate mtls.Gate) *gates {
	g := &gates{}
	g.current.Store(&gate)
	return g
}
