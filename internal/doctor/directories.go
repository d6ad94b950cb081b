package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/directories"
	"countersign/internal/outbound"
	"countersign/internal/serve"
	"countersign/store"
)

// peerTimeout bounds the questions to one directory or to the consent source.
const peerTimeout = 60 * time.Second

// directories asks each directory of participants for its keys and lists, as a node does, and looks when a node last read them.
func (d *Doctor) directories(ctx context.Context) (f Findings) {
	if len(d.Config.Directories) == 0 || d.store == nil {
		return nil
	}
	settings, err := serve.Directories(d.Config, d.Now)
	if err != nil {
		f.fail("directories", "%v", err)
		return f
	}
	all, err := directories.New(directories.Config{Directories: settings, Store: d.store, Now: d.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.fail("directories", "%v", err)
		return f
	}
	for _, one := range settings {
		f.shown("directories", one.Name+": certificate_file", one.Policy, d.Now())
		f.directory(ctx, all, one, d.Now())
	}
	return f
}

// directory says what was found out about one.
func (f *Findings) directory(ctx context.Context, all *directories.Directories, one directories.Settings, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	found := all.Examine(ctx, one.Name)
	switch {
	case found.KeysError != nil:
		f.fail("directories", "%s: keys_address: %v; correct the address, or have it answered", one.Name, found.KeysError)
	case len(found.Algorithms) == 0:
		f.fail("directories", "%s: none of its %d keys verifies what its statements are signed with: is keys_address that of its statements?", one.Name, found.Keys)
	default:
		f.ok("directories", "%s: its keys are read, for %s", one.Name, strings.Join(found.Algorithms, ", "))
	}
	f.kept(one, "keys", found.KeysKept, one.Outage, now)
	if one.ParticipantsAddress == "" {
		f.warn("directories", "%s: no participants_address: nobody is suspended", one.Name)
		return
	}
	if found.ListsError != nil {
		f.fail("directories", "%s: participants_address: %v; correct the address, or have it answered", one.Name, found.ListsError)
	} else {
		f.ok("directories", "%s: its lists are read, with %d entries", one.Name, found.Participants)
	}
	f.kept(one, "lists", found.ListsKept, 3*one.Refresh, now)
}

// kept says when a node last read a document, and warns when that is longer ago than it may be.
func (f *Findings) kept(one directories.Settings, what string, at time.Time, most time.Duration, now time.Time) {
	switch {
	case at.IsZero():
		f.warn("directories", "%s: no node has read its %s yet", one.Name, what)
	case now.Sub(at) > most:
		f.warn("directories", "%s: its %s were last read by a node %s ago: is a server running?", one.Name, what, now.Sub(at).Round(time.Second))
	default:
		f.ok("directories", "%s: a node read its %s %s ago", one.Name, what, now.Sub(at).Round(time.Second))
	}
}

// shown examines a certificate that is shown to others.
func (f *Findings) shown(topic, name string, policy outbound.Policy, now time.Time) {
	if policy.Certificate == nil {
		return
	}
	if leaf := policy.Certificate.Load().Leaf; f.validity(topic, name, leaf, now) {
		f.ok(topic, "%s is valid until %s", name, leaf.NotAfter.UTC().Format(time.DateOnly))
	}
}

// consentSource asks the operator's own system of consents for one that does not exist.
func (d *Doctor) consentSource(ctx context.Context) (f Findings) {
	if d.Config.Consents.Source == "" {
		return nil
	}
	source, policy, err := serve.ConsentSource(d.Config, d.Now)
	if err != nil {
		f.fail("consents", "%v", err)
		return f
	}
	f.shown("consents", "consents.source_certificate_file", policy, d.Now())
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	const nobody = "countersign-doctor"
	switch _, err := source.Read(ctx, nobody, nobody+"-"+rand.Text()); {
	case errors.Is(err, consent.ErrNotFound), errors.Is(err, store.ErrNotFound):
		f.ok("consents", "consents.source answers, and knows no consent that does not exist")
	case err == nil, errors.Is(err, consent.ErrState):
		f.fail("consents", "consents.source knows a consent that does not exist")
	default:
		f.fail("consents", "consents.source: %v; correct the address, or have it answered (docs/consent-apis.md)", err)
	}
	return f
}
