package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"countersign/internal/address"
	"countersign/internal/audit"
	"countersign/internal/config"
	"countersign/internal/config/certificates"
	"countersign/internal/config/value"
	"countersign/internal/limit"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// browserGate makes the gate in front of the listener for browsers, which takes no certificates.
func browserGate(c config.Listen) (mtls.Gate, error) {
	proxies, err := networks(c.IngressNetworks)
	if err != nil {
		return mtls.Gate{}, fmt.Errorf("listen.ingress_networks: %w", err)
	}
	return mtls.Gate{ForwardedFor: len(proxies) > 0, Proxies: proxies}, nil
}

// newGate makes the gate in front of the listener for client certificates.
func newGate(c config.ListenMTLS, now func() time.Time) (mtls.Gate, error) {
	gate, err := certificateGate(c, now)
	if err != nil {
		return mtls.Gate{}, err
	}
	gate.ForwardedFor = c.ForwardedFor
	gate.Proxies, err = networks(c.IngressNetworks)
	return gate, err
}

func certificateGate(c config.ListenMTLS, now func() time.Time) (mtls.Gate, error) {
	switch c.Source {
	case mtls.SourceDirect, "":
		return mtls.Gate{Source: mtls.Direct()}, nil
	case mtls.SourceProxyProtocol:
		ingress, err := newIngress(c, now)
		return mtls.Gate{Source: mtls.ProxyProtocol(), Ingress: ingress}, err
	}
	source, err := mtls.Header(c.Source)
	if err != nil {
		return mtls.Gate{}, fmt.Errorf("listen_mtls.source: %w", err)
	}
	ingress, err := newIngress(c, now)
	return mtls.Gate{Source: source, Headers: mtls.SourceHeaders(c.Source), Ingress: ingress}, err
}

// newIngress recognises the ingress, in the one way that is configured.
func newIngress(c config.ListenMTLS, now func() time.Time) (mtls.Ingress, error) {
	if strings.HasPrefix(c.Address, value.SocketPrefix) {
		return mtls.IngressSocket{}, nil
	}
	if c.IngressCAFile != "" {
		roots, err := certificates.Authorities("listen_mtls.ingress_ca_file", c.IngressCAFile)
		if err != nil {
			return nil, err
		}
		return mtls.IngressCertificate{Roots: roots, Names: strings.Fields(c.IngressName), Now: now}, nil
	}
	senders, err := networks(c.IngressNetworks)
	if err != nil {
		return nil, fmt.Errorf("listen_mtls.ingress_networks: %w", err)
	}
	var secrets [][]byte
	for _, file := range []config.Secret{c.IngressSecret, c.IngressOldSecret} {
		if file == "" {
			continue
		}
		secret, err := file.Read()
		if err != nil {
			return nil, fmt.Errorf("listen_mtls.ingress_secret_file: %w", err)
		}
		secrets = append(secrets, secret)
	}
	ingress, err := mtls.NewIngressSecret(senders, secrets...)
	if err != nil {
		return nil, fmt.Errorf("listen_mtls.ingress_secret_file: %w", err)
	}
	return ingress, nil
}

// networks reads a list of networks.
func networks(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for name := range strings.FieldsSeq(text) {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, err
		}
		all = append(all, network)
	}
	return all, nil
}

// guardCertificates puts a gate in front of a listener. What it refuses never reaches an endpoint; a forgery is an event in
// the log.
func guardCertificates(next http.Handler, gate *gates, alarms *alarms) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, err := gate.current.Load().Admit(r)
		if err == nil {
			next.ServeHTTP(w, admitted)
			return
		}
		oauth.Write(w, oauth.Errorf(oauth.InvalidRequest, "%s", alarms.refuse(r, err)).Because(err), "")
	})
}

// refuse reports a request that the gate refused, and gives the words for its sender. What is wrong with the certificate
// itself is told; what is wrong with the ingress is the operator's to know.
func (a *alarms) refuse(r *http.Request, err error) (description string) {
	const unreadable = "client_certificate_unreadable"
	if errors.Is(err, mtls.ErrForged) {
		a.count(r, "client_certificate_forged")
		a.raise(r, "client_certificate_forged", err)
		return "a client certificate in a header is believed from the ingress of this listener only; leave the header out"
	}
	a.count(r, unreadable)
	if unusable, ok := errors.AsType[*mtls.CertificateError](err); ok {
		// No attack: somebody's certificate is of a kind that is not taken here.
		a.refusals.report(r.Context(), refusal{remote: r.RemoteAddr, subject: unusable.Subject, cause: unusable.Cause})
		a.keep(r, unreadable)
		return "the client certificate cannot be used: " + unusable.Cause
	}
	a.raise(r, unreadable, err)
	return "the client certificate cannot be read"
}

// count tells whoever measures.
func (a *alarms) count(r *http.Request, event string) {
	if a.refused != nil {
		a.refused(r.Context(), event)
	}
}

const (
	// alarmBurst is how many alarms of a kind go into the audit log at once, and then one a minute: whoever raises them must
	// not fill it.
	alarmBurst = 10
	alarmRate  = 1.0 / 60
	alarmKinds = 16
	// alarmTimeout is how long recording one may take.
	alarmTimeout = 5 * time.Second
	// firstAlarms is how many of a kind and network have a line of their own in the server's log, each minute; the others are
	// counted.
	firstAlarms = 5
)

// alarms report what should not happen in front of the endpoints.
type alarms struct {
	store   store.Audit
	chain   string
	limiter *limit.Limiter
	// refusals are what is a warning and no alarm.
	refusals *refusals
	now      func() time.Time
	log      *slog.Logger
	// refused is told of the event of each request that is refused; nil is told nothing.
	refused func(ctx context.Context, event string)
}

func newAlarms(s store.Audit, chain string, now func() time.Time, log *slog.Logger) (*alarms, error) {
	limiter, err := limit.New(alarmRate, alarmBurst, alarmKinds, now)
	if err != nil {
		return nil, err
	}
	return &alarms{store: s, chain: chain, limiter: limiter, refusals: newRefusals(now, log), now: now, log: log}, nil
}

// raise reports a request that was refused.
func (a *alarms) raise(r *http.Request, event string, cause error) {
	a.refusals.lines.Write(event+"\x00"+address.Network(r.RemoteAddr), firstAlarms, func(repeated int) {
		a.log.WarnContext(r.Context(), "audit", "event", event, "client_address", address.Host(r.RemoteAddr), "method", r.Method, "path", r.URL.Path,
			"error", cause.Error(), "repeated", repeated)
	})
	a.keep(r, event)
}

// keep puts an event into the audit log, unless there were too many.
func (a *alarms) keep(r *http.Request, event string) {
	if ok, _ := a.limiter.Allow(event); !ok {
		return
	}
	if err := a.record(r, event); err != nil {
		a.log.ErrorContext(r.Context(), "security event not recorded in the audit log", "event", event, "error", err.Error())
	}
}

func (a *alarms) record(r *http.Request, event string) error {
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": event, "address": r.RemoteAddr, "method": r.Method}})
	if err != nil {
		return err
	}
	// Also when the sender has disconnected.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), alarmTimeout)
	defer cancel()
	return a.store.Record(ctx, store.Evidence{Chain: a.chain, At: a.now(), Body: body})
}
