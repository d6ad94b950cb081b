package observing

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"countersign/internal/config"
	"countersign/internal/metrics"
	"countersign/store"
)

const (
	// lookTimeout is how long a part may take.
	lookTimeout = 3 * time.Second
	// seldomEvery is how often it is looked at what changes seldom and takes more to find out: documents are read whole.
	seldomEvery = time.Minute
)

// look returns what keeps the node from working. Where there are metrics, they show that from now on, with what else is found out.
func (o *Observer) look(ctx context.Context, parts Parts) error {
	found := parts.Look(ctx)
	if o.metrics != nil {
		o.metrics.Sampled(o.take(ctx, parts, found))
	}
	return errors.Join(slices.Collect(maps.Values(found))...)
}

// take looks at all that metrics show beside what keeps each part from working.
func (o *Observer) take(ctx context.Context, parts Parts, notReady map[string]error) metrics.Sample {
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	now := o.options.Now()
	if age := now.Sub(o.seldom.at); age < 0 || age >= seldomEvery {
		o.seldom = o.examine(ctx, parts, now)
	}
	sample := metrics.Sample{
		At: now, Replicas: parts.Signer.Replicas(), NotReady: notReady, Ends: o.seldom.ends, Documents: o.seldom.documents, Schema: o.seldom.schema,
	}
	// What is not known is not shown: a store that is away is seen by NotReady.
	sample.Backlogs, _ = parts.Store.Backlogs(ctx)
	sample.Keys, _ = parts.Signer.Published(ctx)
	if pooled, ok := parts.Store.(store.Pooled); ok {
		pool := pooled.Pool()
		sample.Pool = &pool
		sample.Standbys, _ = pooled.Standbys(ctx)
	}
	if parts.Configuration != nil {
		state := parts.Configuration()
		sample.Configuration = &metrics.Configuration{TakenAt: state.TakenAt, Refused: state.Refused, InUse: state.Problem == ""}
	}
	if known, ok := parts.Store.(store.Conditioned); ok {
		condition := known.Condition()
		sample.Condition = &condition
	}
	return sample
}

// seldom is what changes seldom; see [metrics.Sample].
type seldom struct {
	// at is when it was found out.
	at        time.Time
	ends      map[string]time.Time
	documents []metrics.Document
	schema    int64
}

// examine looks at what changes seldom.
func (o *Observer) examine(ctx context.Context, parts Parts, now time.Time) seldom {
	found := seldom{at: now, ends: Ends(o.config.Load())}
	if parts.Schema != nil {
		found.schema, _ = parts.Schema(ctx) // 0 is not shown
	}
	for _, directory := range o.config.Load().Directories {
		for _, kind := range []string{"keys", "participants"} {
			if document, err := parts.Store.DirectoryDocument(ctx, directory.Name, kind); err == nil {
				found.documents = append(found.documents, metrics.Document{Directory: directory.Name, Kind: kind, FetchedAt: document.FetchedAt})
			}
		}
	}
	return found
}

// Look asks the store whether it takes writes and the HSM whether it signs, as readiness does: by part, what keeps it from working, or
// nil.
func (p Parts) Look(ctx context.Context) map[string]error {
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	hsm := make(chan error, 1)
	go func() {
		_, err := p.Signer.Health(limited)
		hsm <- err
	}()
	found := map[string]error{"store": p.Store.Ping(limited)}
	found["hsm"] = <-hsm
	return found
}

// files are the files of certificates that a configuration names, by their keys.
func files(c *config.Config) map[string]config.File {
	named := map[string]config.File{
		"listen.certificate_file":           c.Listen.CertificateFile,
		"listen_mtls.client_ca_file":        c.ListenMTLS.ClientCAFile,
		"listen_mtls.intermediates_file":    c.ListenMTLS.IntermediatesFile,
		"listen_mtls.ingress_ca_file":       c.ListenMTLS.IngressCAFile,
		"metrics.certificate_file":          c.Metrics.CertificateFile,
		"metrics.client_ca_file":            c.Metrics.ClientCAFile,
		"ciba.ping_certificate_file":        c.CIBA.ClientCertificate,
		"claims_source.certificate_file":    c.ClaimsSource.CertificateFile,
		"consents.source_certificate_file":  c.Consents.SourceCertificate,
		"consents.webhook_certificate_file": c.Consents.WebhookCertificate,
	}
	for _, trust := range c.TrustStores {
		named["trust_stores."+trust.Name] = trust.ClientCAFile
	}
	return named
}

// Ends is when the certificate that ends first in each file that the configuration names does, by its key. A file that cannot be read is left out: that is said elsewhere.
func Ends(c *config.Config) map[string]time.Time {
	found := map[string]time.Time{}
	for key, file := range files(c) {
		if file == "" {
			continue
		}
		text, err := os.ReadFile(file.Path())
		if err != nil {
			continue
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				continue // such as a key
			}
			if first, ok := found[key]; !ok || certificate.NotAfter.Before(first) {
				found[key] = certificate.NotAfter
			}
		}
	}
	return found
}
