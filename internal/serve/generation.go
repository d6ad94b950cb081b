package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"countersign/fapi"
	"countersign/internal/adminlistener"
	"countersign/internal/config"
	"countersign/internal/config/certificates"
	"countersign/internal/pause"
	"countersign/internal/reread"
	"countersign/mtls"
	"countersign/store"
)

// generation is what one configuration makes, as far as it can change while the server runs: all but the ports, the store and the
// keys. It is made whole before it is used, and used by all requests that come from then on.
type generation struct {
	config    *config.Config
	endpoints *fapi.Server
	// browsers and certificates answer the requests of the two listeners.
	browsers, certificates http.Handler
	shown                  *served
	// admin is the admin API; nil where there is none.
	admin *adminlistener.API
	// files are those that are read again on their own account.
	files *reread.Files
	// requests is how many are being answered.
	requests atomic.Int64
	// run starts its jobs, and stop ends them and everything else.
	run  func(jobs *sync.WaitGroup)
	stop context.CancelFunc
}

// generate makes a generation, which ends with ctx. Nothing uses it yet.
func (s *server) generate(ctx context.Context, c *config.Config) (*generation, error) {
	ctx, stop := context.WithCancel(ctx)
	made, err := s.with(c).generation(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	made.stop = stop
	made.run = func(jobs *sync.WaitGroup) {
		jobs.Go(func() { made.endpoints.RunPings(ctx) })
		jobs.Go(func() { made.endpoints.RunLogouts(ctx) })
		jobs.Go(func() { made.endpoints.RunConsents(ctx) })
		jobs.Go(func() { made.endpoints.RunDirectories(ctx) })
	}
	return made, nil
}

// with is the server with another configuration, and files of its own.
func (s *server) with(c *config.Config) *server {
	next := *s
	next.Config, next.reload = c, &reread.Files{Log: s.log}
	return &next
}

func (s *server) generation(ctx context.Context) (*generation, error) {
	endpoints, err := s.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	certificate, err := newServed(s.Config.Listen, s.Now, s.reload)
	if err != nil {
		return nil, err
	}
	gate, err := newGates(s.Config.ListenMTLS, s.Now, s.reload)
	if err != nil {
		return nil, err
	}
	forBrowsers, err := browserGate(s.Config.Listen)
	if err != nil {
		return nil, err
	}
	operated, err := s.operated()
	if err != nil {
		return nil, err
	}
	return &generation{
		admin: operated, config: s.Config, endpoints: endpoints, shown: certificate, files: s.reload,
		browsers:     guardCertificates(endpoints.Handler(), fixedGate(forBrowsers), s.alarms),
		certificates: guardCertificates(endpoints.MTLSHandler(), gate, s.alarms),
	}, nil
}

// live is the generation in use, with those before it that still answer requests.
type live struct {
	current atomic.Pointer[generation]
	// configuration reads again what the current one is made of; nil before the first is in use.
	configuration *reread.Configuration
	// draining is set when the server is to end.
	draining atomic.Bool
	// jobs are all that generations run, and what waits for their end.
	jobs sync.WaitGroup

	mu     sync.Mutex
	before map[*generation]bool
}

// enter is the current generation, which answers one request more; leave it by its count.
func (l *live) enter() *generation {
	for {
		g := l.current.Load()
		g.requests.Add(1)
		if l.current.Load() == g {
			return g
		}
		g.requests.Add(-1) // it was replaced meanwhile, and may have ended
	}
}

// handler has each request answered by the generation that is current when it comes.
func (l *live) handler(of func(*generation) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := l.enter()
		defer g.requests.Add(-1)
		of(g).ServeHTTP(w, r)
	})
}

// of answers on the listener for browsers, or on the one for client certificates.
func (l *live) of(mutual bool) http.Handler {
	return l.handler(func(g *generation) http.Handler {
		if mutual {
			return g.certificates
		}
		return g.browsers
	})
}

// use has all requests from now on answered by a generation. The one before ends when it has answered its last.
func (l *live) use(ctx context.Context, next *generation) {
	next.run(&l.jobs)
	before := l.current.Swap(next)
	if l.draining.Load() {
		next.endpoints.Drain()
	}
	if before == next { // the first
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before == nil {
		l.before = map[*generation]bool{}
	}
	l.before[before] = true
	l.jobs.Go(func() { l.retire(ctx, before) })
}

// retireEvery is how often it is looked whether a generation has answered its last request.
const retireEvery = 100 * time.Millisecond

// retire ends a generation that gets no more requests, when it has answered its last.
func (l *live) retire(ctx context.Context, g *generation) {
	for g.requests.Load() > 0 && pause.For(ctx, retireEvery) == nil {
		continue
	}
	g.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.before, g)
}

// onChange tells all generations of what another node has changed.
func (l *live) onChange(change store.Change) {
	l.current.Load().endpoints.OnChange(change)
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range l.before {
		g.endpoints.OnChange(change)
	}
}

// drain has readiness report not ready, whichever generation is asked.
func (l *live) drain() {
	l.draining.Store(true)
	l.current.Load().endpoints.Drain()
}

// certificate is a [tls.Config.GetCertificate].
func (l *live) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return l.current.Load().shown.current.Load(), nil
}

// tlsConfig is that of a listener: connections that are open keep the certificate that they were opened with.
func tlsConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), requestClientCertificate bool) *tls.Config {
	made := mtls.ServerConfig(nil, requestClientCertificate)
	made.GetCertificate = certificate
	return made
}

// served is the certificate of the listeners, which changes while they are open.
type served struct {
	current atomic.Pointer[tls.Certificate]
}

// newServed reads the certificate, and has it read again.
func newServed(c config.Listen, now func() time.Time, reload *reread.Files) (*served, error) {
	certificate, err := Certificate(c)
	if err != nil {
		return nil, err
	}
	s := &served{}
	s.current.Store(&certificate)
	reload.Add("listen.certificate_file, listen.key_file", []config.Secret{config.Secret(c.CertificateFile), c.KeyFile}, func() (func(), error) {
		certificate, err := Certificate(c)
		if err != nil {
			return nil, err
		}
		return func() { s.current.Store(&certificate) }, certificateValid(certificate, now())
	})
	return s, nil
}

// Certificate reads the TLS certificate of the listeners and its key.
func Certificate(c config.Listen) (tls.Certificate, error) {
	return certificates.Pair("listen.certificate_file", c.CertificateFile, "listen.key_file", c.KeyFile)
}

// certificateValid says why a certificate of the listeners must not take the place of another.
func certificateValid(certificate tls.Certificate, at time.Time) error {
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	switch {
	case err != nil:
		return fmt.Errorf("listen.certificate_file: %w", err)
	case at.After(leaf.NotAfter):
		return fmt.Errorf("listen.certificate_file: the certificate expired on %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(leaf.NotBefore):
		return fmt.Errorf("listen.certificate_file: the certificate is valid from %s on", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// gates is the gate in front of the listener for client certificates, which changes while it is open.
type gates struct{ current atomic.Pointer[mtls.Gate] }

// newGates makes the gate, and has what it reads read again.
func newGates(c config.ListenMTLS, now func() time.Time, reload *reread.Files) (*gates, error) {
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
	reload.Add("listen_mtls.ingress", files, func() (func(), error) {
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
