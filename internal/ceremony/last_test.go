package ceremony_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"countersign/internal/ceremony"
	"countersign/signer"
	"countersign/store"
)

func (w *world) client(id string, metadata map[string]string, disabled bool) {
	w.t.Helper()
	encoded, err := json.Marshal(metadata)
	w.must(err)
	w.must(w.store.PutClient(w.t.Context(), store.Client{
		ID: id, Profile: "fapi2-security", Metadata: encoded, Disabled: disabled, Version: 1, CreatedAt: w.clock(), UpdatedAt: w.clock(),
	}))
}

// TestRetireTheLast: the last key of an algorithm retires when that is asked for, after all that ends with it was told: the
// uses, the seals of the audit log, the clients that registered it. What signs access tokens, and the last key of all, stay.
//
// Covers: FD-96.
func TestRetireTheLast(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.must(w.ceremony().Generate(ctx, "PS256", []string{"access_token", "id_token"}, true))
	w.must(w.ceremony().Generate(ctx, "EdDSA", nil, true))
	ps, ed := w.key("PS256", signer.Active), w.key("EdDSA", signer.Active)
	w.client("explicit", map[string]string{"id_token_signed_response_alg": "EdDSA", "introspection_signed_response_alg": "PS256"}, false)
	w.client("jarm", map[string]string{"authorization_signed_response_alg": "EdDSA"}, false)
	w.client("other", map[string]string{"id_token_signed_response_alg": "PS256"}, false)
	w.client("disabled", map[string]string{"id_token_signed_response_alg": "EdDSA"}, true)

	t.Run("refuses without --last, and what signs access tokens", func(t *testing.T) {
		refused(t, w.ceremony().Retire(ctx, ed.ID, false), "or give --last to do without")
		refused(t, w.ceremony().Retire(ctx, ps.ID, true), "which tokens.access_token_algorithm names")
	})
	tell := func(dryRun bool) {
		t.Helper()
		c := w.ceremony()
		c.DryRun = dryRun
		w.must(c.Retire(ctx, ed.ID, true))
		var needed []ceremony.Need
		for _, e := range w.events {
			if e.Step == ceremony.Needed {
				needed = append(needed, e.Need)
			}
			if e.Step == ceremony.Loses && !slices.Equal(e.Uses, ed.Uses) {
				t.Errorf("it loses %v of %v", e.Uses, ed.Uses)
			}
		}
		want := []ceremony.Need{{ClientID: "explicit", Member: "id_token_signed_response_alg"}, {ClientID: "jarm", Member: "authorization_signed_response_alg"}}
		if !slices.Equal(needed, want) || !slices.Contains(w.steps(), ceremony.Loses) || !slices.Contains(w.steps(), ceremony.Unsealed) {
			t.Errorf("told of %v, %v", needed, w.steps())
		}
	}
	t.Run("accepts, and tells what ends", func(t *testing.T) {
		tell(true)
		if w.key("EdDSA", signer.Active).ID != ed.ID {
			t.Error("a dry run retired it")
		}
		tell(false)
		w.key("EdDSA", signer.Retiring)
	})
	t.Run("refuses the last key of all", func(t *testing.T) {
		c := w.ceremony()
		c.AccessTokens = signer.ES256
		refused(t, c.Retire(ctx, ps.ID, true), "is the last that signs anything")
		refused(t, w.ceremony("alice", "bob").Destroy(ctx, ps.ID, true), "or retire it with --last")
	})
}

// TestRetireWhatIsGone: a key that its HSM has lost retires too; the transcript is signed by another key, and bears no word
// of the HSM about it.
//
// Covers: FD-96.
func TestRetireWhatIsGone(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.must(w.ceremony().Generate(ctx, "PS256", nil, true))
	w.must(w.ceremony().Generate(ctx, "EdDSA", nil, true))
	ps, ed := w.key("PS256", signer.Active), w.key("EdDSA", signer.Active)
	w.must(w.holder().Destroy(ctx, ed.ID))
	c := w.ceremony("alice")
	c.Transcript = filepath.Join(w.folder, "retired.json")
	w.must(c.Retire(ctx, ed.ID, true))
	text, err := os.ReadFile(c.Transcript)
	w.must(err)
	said, err := ceremony.ReadTranscript(text)
	w.must(err)
	if said.KID != ed.ID || said.SignedBy != ps.ID || said.Attested != nil || said.After != string(signer.Retiring) {
		t.Errorf("the transcript says %+v", said)
	}
	c = w.ceremony("alice")
	c.Transcript = filepath.Join(w.folder, "generated.json")
	w.must(c.Generate(ctx, "ES256", nil, true)) // one that is there speaks for itself
	text, err = os.ReadFile(c.Transcript)
	w.must(err)
	if said, err := ceremony.ReadTranscript(text); err != nil || said.SignedBy != "" || said.Attested == nil {
		t.Errorf("the transcript says %+v, %v", said, err)
	}
}
