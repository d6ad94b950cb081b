package observing

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"time"

	"countersign/internal/config"
	"countersign/internal/metrics"
	"countersign/internal/pause"
	"countersign/store"
)

// lookTimeout is how long a part may take.
const lookTimeout = 3 * time.Second

// watch takes samples until ctx ends.
func (o *Observer) watch(ctx context.Context, parts Parts) {
	var schema int64
	for {
		if schema == 0 && parts.Schema != nil {
			limited, cancel := context.WithTimeout(ctx, lookTimeout)
			schema, _ = parts.Schema(limited) // 0 is not shown, and it is asked again
			cancel()
		}
		sample := o.take(ctx, parts)
		sample.Schema = schema
		o.metrics.Sampled(sample)
		if pause.For(ctx, metrics.SampleEvery) != nil {
			return
		}
	}
}

// take looks at all parts.
func (o *Observer) take(ctx context.Context, parts Parts) metrics.Sample {
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	sample := metrics.Sample{
		At: o.options.Now(), Replicas: parts.Signer.Replicas(), NotReady: parts.look(ctx), Ends: ends(o.options.Config),
	}
	// What is not known is not shown: a store that is away is seen by NotReady.
	sample.Backlogs, _ = parts.Store.Backlogs(ctx)
	sample.Keys, _ = parts.Signer.Published(ctx)
	if pooled, ok := parts.Store.(store.Pooled); ok {
		pool := pooled.Pool()
		sample.Pool = &pool
		sample.Standbys, _ = pooled.Standbys(ctx)
	}
	if known, ok := parts.Store.(store.Conditioned); ok {
		condition := known.Condition()
		sample.Condition = &condition
	}
	for _, directory := range o.options.Config.Directories {
		for _, kind := range []string{"keys", "participants"} {
			if document, err := parts.Store.DirectoryDocument(ctx, directory.Name, kind); err == nil {
				sample.Documents = append(sample.Documents, metrics.Document{Directory: directory.Name, Kind: kind, FetchedAt: document.FetchedAt})
			}
		}
	}
	return sample
}

// look asks the store whether it takes writes and the HSM whether it signs, as readiness does.
func (p Parts) look(ctx context.Context) map[string]error {
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

// ready returns what keeps the node from working.
func (p Parts) ready(ctx context.Context) error {
	var problems []error
	for _, err := range p.look(ctx) {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
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

// ends is when the certificate that ends first in each file does. A file that cannot be read is left out: that is said elsewhere.
func ends(c *config.Config) map[string]time.Time {
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
