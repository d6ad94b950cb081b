package doctor

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"countersign/internal/admin"
	"countersign/internal/ceremony"
	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/softhsm"
	"countersign/store"
)

// openStore opens the store. Without it the checks of clients and keys find nothing.
func (d *Doctor) openStore(ctx context.Context) (f Findings) {
	chosen, err := database.New(d.Config, d.Now, nil)
	if err != nil {
		f.fail("store", "%v", err)
		return f
	}
	s, err := chosen.Open(ctx)
	if err != nil {
		f.fail("store", "%v%s", err, storeRemedy(d.Config.Store.Driver, err))
		return f
	}
	if err := s.Ping(ctx); err != nil {
		f.fail("store", "%v%s", err, storeRemedy(d.Config.Store.Driver, err))
		_ = s.Close() // nothing was written
		return f
	}
	d.store = s
	f.ok("store", "%s: reached, its schema is up to date", chosen.Name)
	if known, ok := s.(store.Conditioned); ok && known.Condition().Advice != "" {
		f.warn("store", "%s", known.Condition().Advice)
	}
	shared, ok := s.(interface{ CheckNotifications(context.Context) error })
	if !ok {
		return f
	}
	f.ok("clock", "it agrees with the database's")
	if err := shared.CheckNotifications(ctx); err != nil {
		f.warn("store", "%v", err)
		return f
	}
	f.ok("store", "notifications of changes arrive")
	return f
}

// storeRemedy goes on after why a store cannot be used: what to do, where the error does not say it.
func storeRemedy(driver string, err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), strings.Contains(err.Error(), "no space left"), strings.Contains(err.Error(), "disk is full"):
		return "; free space on the disk of store.file"
	case errors.Is(err, syscall.EROFS):
		return "; mount its disk for writing, or move store.file"
	case errors.Is(err, fs.ErrPermission):
		return "; give it to the server's user (chown), or run doctor as that user"
	case driver != "postgres":
		return ""
	case strings.Contains(err.Error(), "SQLSTATE 28"): // invalid authorization specification
		return "; correct user and password in store.url_file"
	case strings.Contains(err.Error(), "SQLSTATE 3D000"):
		return "; correct the database's name in store.url_file, or create it"
	case errors.Is(err, store.ErrUnavailable):
		return "; correct host and port in store.url_file, or start the database"
	}
	return ""
}

// clients looks for clients that this release would refuse.
func (d *Doctor) clients(ctx context.Context) (f Findings) {
	if d.store == nil {
		return nil
	}
	clients, err := d.store.Clients(ctx)
	if err != nil {
		f.fail("clients", "%v", err)
		return f
	}
	good := 0
	for _, client := range clients {
		if err := admin.CheckMetadata(client.ID, client.Profile, client.Metadata); err != nil {
			f.fail("clients", "%s is refused: %v", client.ID, err)
			continue
		}
		if !admin.Offers(strings.Fields(d.Config.Profiles), client.Profile) {
			f.warn("clients", "%s is refused: its profile %s is not offered; add it to profiles in the configuration", client.ID, client.Profile)
			continue
		}
		good++
	}
	f.ok("clients", "%s registered and correct", console.Count(good, "client"))
	return f
}

// openTokens reaches every token.
func (d *Doctor) openTokens(ctx context.Context) (f Findings) {
	if warning := hsm.Warning(d.Config.Signer); warning != "" {
		f.warn("hsm", "%s", warning)
	} else {
		f.ok("hsm", "the module runs in a worker process of its own")
	}
	d.damaged(&f)
	tokens, problems, err := hsm.Connect(ctx, d.Config.Signer, nil)
	if err != nil {
		f.fail("hsm", "%v", err)
		return f
	}
	d.tokens = tokens
	for i, token := range tokens {
		if problems[i] != nil {
			f.fail("hsm", "%s: %v", token.Token(), problems[i])
			continue
		}
		d.reached = f.token(ctx, token) || d.reached
	}
	return f
}

// damaged looks for files of SoftHSM2 that an interruption left empty.
func (d *Doctor) damaged(f *Findings) {
	if d.Config.Signer.DevelopmentKeyFile != "" {
		return
	}
	for _, token := range hsm.Settings(d.Config.Signer) {
		empty, err := softhsm.Damaged(token.Environment)
		if err != nil {
			f.warn("hsm", "%v", err)
		}
		for _, file := range empty {
			f.fail("hsm", "%s is empty: SoftHSM2 was interrupted while it wrote; put this file back from a backup of the token's folder (docs/hsm.md)", file)
		}
	}
}

// token lists what a token holds, and reports whether it could.
func (f *Findings) token(ctx context.Context, token hsm.Holder) bool {
	held, err := token.List(ctx)
	if err != nil {
		f.fail("hsm", "%s: %v", token.Token(), err)
		return false
	}
	f.ok("hsm", "%s is reached and holds %s", token.Token(), console.Count(len(held), "key"))
	for _, key := range held {
		if key.Refused != "" {
			f.warn("hsm", "the key %s is not used: %s", key.Record.ID, key.Refused)
		}
	}
	return true
}

// keys signs with every active key, when there are a token and a store.
func (d *Doctor) keys(ctx context.Context) (f Findings) {
	if !d.reached || d.store == nil {
		return nil
	}
	keys, err := signer.New(ctx, signer.Config{Catalogue: hsm.Catalogue(d.store), Replicas: d.tokens.Replicas(), Now: d.Now})
	if err != nil {
		f.fail("keys", "%v", err)
		return f
	}
	published, err := keys.Published(ctx)
	if err != nil {
		f.fail("keys", "%v", err)
		return f
	}
	for _, record := range published {
		if record.CreatedAt.After(d.Now().Add(time.Minute)) {
			f.fail("clock", "the key %s was made later than now: the clock is behind", record.ID)
		}
	}
	f.active(ctx, keys, published)
	d.uses(ctx, &f, keys, published)
	d.needs(ctx, &f, published)
	return f
}

// needs looks for clients that registered an algorithm for which no key is active.
func (d *Doctor) needs(ctx context.Context, f *Findings, published []signer.Record) {
	clients, err := d.store.Clients(ctx)
	if err != nil {
		f.fail("clients", "%v", err)
		return
	}
	for _, alg := range []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA, signer.ECDHES, signer.RSAOAEP256, signer.RSAOAEP} {
		unserved := slices.DeleteFunc(ceremony.Uses(string(alg)), func(use string) bool {
			return slices.ContainsFunc(published, func(r signer.Record) bool {
				return r.State == signer.Active && r.Algorithm.Does(alg) && slices.Contains(r.Uses, signer.Use(use))
			})
		})
		needs, err := ceremony.Needing(clients, string(alg), unserved)
		if err != nil {
			f.fail("clients", "%v", err)
			return
		}
		for _, need := range needs {
			f.warn("clients", "%s registered %s %s, for which no key is active: what it asks for is answered 503", need.ClientID, need.Member, alg)
		}
	}
}

// active has every active key sign or decrypt.
func (f *Findings) active(ctx context.Context, keys *signer.Signer, published []signer.Record) {
	if err := keys.Ready(ctx); err != nil {
		f.fail("keys", "%v", err)
		return
	}
	for _, record := range published {
		if record.State == signer.Active {
			f.ok("keys", "%s %s %s", record.Algorithm, record.ID, ceremony.Does(record.Algorithm))
		}
	}
}

// uses looks for a use that no active key serves.
func (d *Doctor) uses(ctx context.Context, f *Findings, keys *signer.Signer, published []signer.Record) {
	if _, err := keys.Active(ctx, signer.UseAccessToken, signer.Algorithm(d.Config.Tokens.AccessTokenAlgorithm)); err != nil {
		f.fail("keys", "tokens.access_token_algorithm: %v", err) // which says what to run
	}
	serves := func(use signer.Use) bool {
		return slices.ContainsFunc(published, func(r signer.Record) bool { return r.State == signer.Active && slices.Contains(r.Uses, use) })
	}
	if !serves(signer.UseIDToken) {
		f.warn("keys", "no active key signs ID tokens: OpenID Connect clients get none")
	}
	if d.Config.Profiles != admin.DefaultProfile && !serves(signer.UseResponse) {
		f.warn("keys", "no active key signs authorization responses: clients that want them signed get an error page; run: countersign keys generate --alg PS256 --use %s", signer.UseResponse)
	}
	if _, err := keys.ActiveFor(ctx, signer.UseEvidence); err != nil {
		f.warn("audit", "no active key seals the audit log: who can write to the store can change it unseen; run: countersign keys generate --alg ES256 --use %s, and activate the key", signer.UseEvidence)
	}
}
