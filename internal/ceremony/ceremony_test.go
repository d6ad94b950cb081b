package ceremony_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/ceremony"
	"countersign/signer"
)

// refused expects an error with a text.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestLife takes a key through its life, and refuses what is too early.
func TestLife(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.must(w.ceremony().Generate(ctx, "ES256", nil, true))
	first := w.key("ES256", signer.Active)
	if !slices.Equal(first.Uses, ceremony.Uses("ES256")) || first.ActivatedAt.IsZero() {
		t.Errorf("the first key: %+v", first)
	}
	refused(t, w.ceremony().Generate(ctx, "ES256", []string{"id_token"}, true), "leave out --activate")
	refused(t, w.ceremony().Generate(ctx, "ES256", []string{"request_object"}, false), "--use: a key for ES256 is not for request_object")
	refused(t, w.ceremony().Retire(ctx, first.ID, false), "is the last active ES256 key for access_token")

	w.must(w.ceremony().Generate(ctx, "ES256", nil, false))
	second := w.key("ES256", signer.Published)
	refused(t, w.ceremony().Activate(ctx, second.ID, false), "not known to every verifier yet: wait")
	w.advance(signer.KnownAfter)
	w.must(w.ceremony().Activate(ctx, second.ID[:20], false))
	refused(t, w.ceremony().Activate(ctx, second.ID, false), "only a published key can be activated")
	w.must(w.ceremony().Retire(ctx, first.ID, false))
	refused(t, w.ceremony().Retire(ctx, first.ID, false), "only an active key can be retired")

	refused(t, w.ceremony("alice", " ALICE ").Destroy(ctx, first.ID, true), "this needs two people: give --operator twice, with different names (found 1 name)")
	refused(t, w.ceremony("alice", " ").Destroy(ctx, first.ID, true), "--operator: a name is empty")
	refused(t, w.ceremony("alice", "bob").Destroy(ctx, first.ID, false), "may be valid: wait")
	refused(t, w.ceremony("alice", "bob").Destroy(ctx, second.ID, false), "is the last active ES256 key")
	w.advance(time.Hour)
	w.must(w.ceremony("alice", "bob").Destroy(ctx, first.ID, false))
	if got := w.steps(); !slices.Equal(got, []ceremony.Step{ceremony.DestroyedIn, ceremony.Destroyed}) {
		t.Errorf("steps %v", got)
	}
	refused(t, w.ceremony("alice", "bob").Destroy(ctx, first.ID, false), "there is no key")
	outcomes, err := w.ceremony().Verify(ctx)
	if err != nil || len(outcomes) != 1 || outcomes[0].Key.ID != second.ID || outcomes[0].Err != nil {
		t.Errorf("%+v, %v", outcomes, err)
	}
}

// TestDryRun: a dry run reports one step and changes nothing.
func TestDryRun(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.must(w.ceremony().Generate(ctx, "ES256", nil, true))
	w.must(w.ceremony().Generate(ctx, "EdDSA", nil, true))
	w.must(w.ceremony().Generate(ctx, "EdDSA", nil, false))
	active, published := w.key("ES256", signer.Active).ID, w.key("EdDSA", signer.Published).ID
	before, err := w.store.Keys(ctx)
	w.must(err)
	for _, test := range []struct {
		name string
		want ceremony.Step
		run  func(*ceremony.Ceremony) error
	}{
		{"generate", ceremony.WouldGenerate, func(c *ceremony.Ceremony) error { return c.Generate(ctx, "PS256", nil, true) }},
		{"activate", ceremony.WouldActivate, func(c *ceremony.Ceremony) error { return c.Activate(ctx, published, true) }},
		{"destroy", ceremony.WouldDestroy, func(c *ceremony.Ceremony) error { return c.Destroy(ctx, published, false) }},
		{"rotate to a new key", ceremony.WouldPublish, func(c *ceremony.Ceremony) error { return c.Rotate(ctx, ceremony.Rotation{Algorithm: "ES256"}) }},
		{"rotate to a new key at once", ceremony.WouldReplace, func(c *ceremony.Ceremony) error {
			return c.Rotate(ctx, ceremony.Rotation{Algorithm: "ES256", Now: true})
		}},
		{"rotate too early", ceremony.WouldWait, func(c *ceremony.Ceremony) error { return c.Rotate(ctx, ceremony.Rotation{Algorithm: "EdDSA"}) }},
		{"rotate", ceremony.WouldSwitch, func(c *ceremony.Ceremony) error {
			return c.Rotate(ctx, ceremony.Rotation{Algorithm: "EdDSA", Now: true})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.ceremony("alice", "bob")
			c.DryRun = true
			if err := test.run(c); err != nil {
				t.Fatal(err)
			}
			if got := w.steps(); !slices.Equal(got, []ceremony.Step{test.want}) {
				t.Errorf("steps %v, want %v", got, test.want)
			}
		})
	}
	after, err := w.store.Keys(ctx)
	w.must(err)
	for i := range after {
		if len(after) != len(before) || after[i].State != before[i].State {
			t.Fatalf("a dry run changed the keys: %+v", after)
		}
	}
	if w.key("ES256", signer.Active).ID != active {
		t.Error("another key is active")
	}
}

// TestRotate replaces a key in two steps, and in one when there is no time.
func TestRotate(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	rotation := ceremony.Rotation{Algorithm: "ES256"}
	refused(t, w.ceremony().Rotate(ctx, rotation), "there is no active ES256 key to be replaced")
	w.must(w.ceremony().Generate(ctx, "ES256", []string{"id_token"}, true))
	old := w.key("ES256", signer.Active)
	for _, step := range []struct {
		name  string
		after time.Duration
		want  []ceremony.Step
	}{
		{"makes the next key", 0, []ceremony.Step{ceremony.Generated, ceremony.Pending}},
		{"waits", time.Minute, []ceremony.Step{ceremony.Pending}},
		{"switches", signer.KnownAfter, []ceremony.Step{ceremony.Activated, ceremony.Retired}},
	} {
		w.advance(step.after)
		w.must(w.ceremony().Rotate(ctx, rotation))
		if got := w.steps(); !slices.Equal(got, step.want) {
			t.Fatalf("%s: steps %v, want %v", step.name, got, step.want)
		}
	}
	next := w.key("ES256", signer.Active)
	if next.ID == old.ID || !slices.Equal(next.Uses, old.Uses) {
		t.Errorf("the next key: %+v", next)
	}
	rotation.Now = true
	w.must(w.ceremony().Rotate(ctx, rotation))
	if got := w.steps(); !slices.Equal(got, []ceremony.Step{ceremony.Generated, ceremony.Activated, ceremony.Retired, ceremony.KnownWithin}) {
		t.Errorf("steps %v", got)
	}
	w.must(w.ceremony().Generate(ctx, "ES256", []string{"evidence"}, true))
	refused(t, w.ceremony().Rotate(ctx, rotation), "say which with --use")
}

// TestTranscript: a transcript is signed by its key, or for a key that decrypts by another, and cannot be changed.
func TestTranscript(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	transcript := func(name string, work func(*ceremony.Ceremony) error) []byte {
		t.Helper()
		c := w.ceremony("alice")
		c.Transcript = filepath.Join(w.folder, name)
		w.must(work(c))
		raw, err := os.ReadFile(c.Transcript)
		w.must(err)
		refused(t, work(c), "a transcript is never written over")
		return raw
	}
	signing := transcript("signing.json", func(c *ceremony.Ceremony) error { return c.Generate(ctx, "ES256", nil, true) })
	said, err := ceremony.ReadTranscript(signing)
	if err != nil || said.Command != "keys generate" || said.KID != w.key("ES256", signer.Active).ID || said.SignedBy != "" ||
		said.After != "active" || !slices.Equal(said.Operators, []string{"alice"}) {
		t.Errorf("%+v, %v", said, err)
	}
	decrypting := transcript("decrypting.json", func(c *ceremony.Ceremony) error { return c.Generate(ctx, "ECDH-ES", nil, false) })
	if said, err := ceremony.ReadTranscript(decrypting); err != nil || said.SignedBy != w.key("ES256", signer.Active).ID {
		t.Errorf("%+v, %v", said, err)
	}
	for _, test := range []struct{ name, from, to, want string }{
		{"another operator", `"alice"`, `"mallory"`, "the statement is not the one that was signed"},
		{"another signature", `"signature": "`, `"signature": "A`, "the signature"},
		{"no transcript", `"statement"`, `"something"`, "the statement"},
	} {
		t.Run("refuses "+test.name, func(t *testing.T) {
			changed := bytes.Replace(signing, []byte(test.from), []byte(test.to), 1)
			if bytes.Equal(changed, signing) {
				t.Fatal("nothing was changed")
			}
			_, err := ceremony.ReadTranscript(changed)
			refused(t, err, test.want)
		})
	}
	_, err = ceremony.ReadTranscript([]byte("[]"))
	refused(t, err, "not a transcript")
}

// TestFind: a key is found by the beginning of its kid when no other begins so.
func TestFind(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.must(w.ceremony().Generate(ctx, "ES256", nil, true))
	want := w.key("ES256", signer.Active)
	for _, id := range []string{want.ID, want.ID[:8]} {
		if got, keys, err := ceremony.Find(ctx, w.store, id); err != nil || got.ID != want.ID || len(keys) != 1 {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	for _, id := range []string{"", "nokey", want.ID + "A"} {
		_, _, err := ceremony.Find(ctx, w.store, id)
		refused(t, err, "there is no key")
	}
	refused(t, w.ceremony().ImportReplica(ctx, want.ID, "other"), `the token "other" is not in the configuration`)
}
