package audit_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/audit"
	"countersign/internal/jose"
)

// notary holds the key that signs messages and checkpoints in these tests.
type notary struct {
	key  jose.PrivateKey
	keys jose.KeySet
}

func newNotary(t *testing.T, algorithm string) notary {
	t.Helper()
	key, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return notary{key: key, keys: jose.NewKeySet(key.Key())}
}

func (n notary) sign(t *testing.T, claims any) string {
	t.Helper()
	jws, err := jose.Sign(t.Context(), n.key.SigningKey(), "oauth-authz-req+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)

// grow adds a stretch of entries and a checkpoint.
func (n notary) grow(t *testing.T, chain *audit.Chain, entries int) [][]byte {
	t.Helper()
	var lines [][]byte
	for i := range entries {
		message, err := audit.NewMessage(n.sign(t, map[string]any{"state": fmt.Sprint("<state & ", i)}))
		if err != nil {
			t.Fatal(err)
		}
		line, err := chain.Append(noon, audit.Event{Kind: audit.RequestObject, ClientID: "app", CorrelationID: "c", Key: n.key.Key().Thumbprint(), Message: message})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	line, err := chain.Checkpoint(t.Context(), noon, n.key.SigningKey())
	if err != nil {
		t.Fatal(err)
	}
	return append(lines, line)
}

// log has 8 entries of a node: three and a checkpoint, twice.
func (n notary) log(t *testing.T, node string) [][]byte {
	t.Helper()
	chain := audit.NewChain(node)
	return append(n.grow(t, chain, 3), n.grow(t, chain, 3)...)
}

// inChain is a line as it is in the chain.
func inChain(t *testing.T, shown []byte) []byte {
	t.Helper()
	line, _, err := audit.Split(shown)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// rechain recomputes the previous hashes from index on, as an attacker who can write to the store would.
func rechain(t *testing.T, lines [][]byte, from int) {
	t.Helper()
	for i := from; i < len(lines); i++ {
		entry, err := audit.ParseEntry(lines[i])
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = bytes.Replace(lines[i], []byte(entry.Previous), []byte(audit.Hash(inChain(t, lines[i-1]))), 1)
	}
}

// verify checks the lines of a whole log.
func verify(lines [][]byte, options audit.Options) audit.Report {
	verifier := audit.NewVerifier(options)
	for _, line := range lines {
		verifier.Add(line)
	}
	return verifier.Report()
}

func renumber(line []byte, from, to int) []byte {
	return bytes.Replace(line, fmt.Appendf(nil, `"sequence":%d,`, from), fmt.Appendf(nil, `"sequence":%d,`, to), 1)
}

func TestTamperedLogIsFoundAndNamed(t *testing.T) {
	n, stranger := newNotary(t, jose.ES256), newNotary(t, jose.ES256)
	client := func(line []byte) []byte { return bytes.Replace(line, []byte(`"app"`), []byte(`"cap"`), 1) }
	tests := []struct {
		name    string
		tamper  func(lines [][]byte) [][]byte
		options audit.Options
		want    []string
	}{
		{"untouched", func(l [][]byte) [][]byte { return l }, audit.Options{}, nil},
		{"one deleted", func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }, audit.Options{}, []string{"deleted 2-2"}},
		{"the first deleted", func(l [][]byte) [][]byte { return l[1:] }, audit.Options{}, []string{"deleted 1-1"}},
		{"a stretch deleted", func(l [][]byte) [][]byte { return slices.Delete(l, 1, 5) }, audit.Options{}, []string{"deleted 2-5"}},
		{"one changed", func(l [][]byte) [][]byte { l[5] = client(l[5]); return l }, audit.Options{}, []string{"changed 6-6"}},
		{"one changed in a byte that says nothing", func(l [][]byte) [][]byte {
			l[5] = bytes.Replace(l[5], []byte(`"sequence":`), []byte(`"sequence": `), 1)
			return l
		}, audit.Options{}, []string{"changed 6-6"}},
		{"the first changed", func(l [][]byte) [][]byte { l[0] = client(l[0]); return l }, audit.Options{}, []string{"changed 1-1"}},
		{"the last before a checkpoint changed", func(l [][]byte) [][]byte { l[6] = client(l[6]); return l }, audit.Options{},
			[]string{"changed 7-7", "changed 4-7"}},
		{"changed and chained again", func(l [][]byte) [][]byte { l[5] = client(l[5]); rechain(t, l, 6); return l }, audit.Options{},
			[]string{"changed 4-7"}},
		{"the line of a checkpoint changed and chained again", func(l [][]byte) [][]byte {
			l[3] = bytes.Replace(l[3], []byte("12:00"), []byte("13:00"), 1)
			rechain(t, l, 4)
			return l
		}, audit.Options{}, []string{"changed 4-7"}},
		{"deleted, numbered and chained again", func(l [][]byte) [][]byte {
			l = slices.Delete(l, 5, 6)
			l[5], l[6] = renumber(l[5], 7, 6), renumber(l[6], 8, 7)
			rechain(t, l, 5)
			return l
		}, audit.Options{}, []string{"changed 7-7"}},
		{"two swapped", func(l [][]byte) [][]byte { l[4], l[5] = l[5], l[4]; return l }, audit.Options{}, []string{"reordered 5-5"}},
		{"two swapped and numbered again", func(l [][]byte) [][]byte {
			l[4], l[5] = renumber(l[5], 6, 5), renumber(l[4], 5, 6)
			return l
		}, audit.Options{}, []string{"changed 4-4", "changed 5-5", "changed 6-6"}},
		{"one twice", func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[1]) }, audit.Options{}, []string{"repeated 2-2"}},
		{"no entry", func(l [][]byte) [][]byte { l[1] = []byte("{}"); return l }, audit.Options{}, []string{"unreadable 0-0", "deleted 2-2"}},
		{"a member twice", func(l [][]byte) [][]byte {
			l[1] = bytes.Replace(l[1], []byte("{"), []byte(`{"node":"a",`), 1)
			return l
		}, audit.Options{}, []string{"unreadable 0-0", "deleted 2-2"}},
		{"the tail cut off, which only an anchor shows", func(l [][]byte) [][]byte { return l[:4] }, audit.Options{}, nil},
		{"the tail cut off, with an anchor", func(l [][]byte) [][]byte { return l[:4] }, audit.Options{Anchors: make([]audit.Checkpoint, 1)},
			[]string{"truncated 5-8"}},
		{"only the last checkpoint cut off", func(l [][]byte) [][]byte { return l[:7] }, audit.Options{Anchors: make([]audit.Checkpoint, 1)},
			[]string{"truncated 8-8"}},
		{"all of it gone", func([][]byte) [][]byte { return nil }, audit.Options{Anchors: make([]audit.Checkpoint, 1)}, []string{"truncated 1-8"}},
		{"untouched, with an anchor", func(l [][]byte) [][]byte { return l }, audit.Options{Anchors: make([]audit.Checkpoint, 1)}, nil},
		{"another history, with an anchor", func([][]byte) [][]byte {
			chain := audit.NewChain("a")
			return append(n.grow(t, chain, 4), n.grow(t, chain, 3)...)
		}, audit.Options{Anchors: make([]audit.Checkpoint, 1)}, []string{"changed 7-7"}},
		{"all checkpoints on time", func(l [][]byte) [][]byte { return l }, audit.Options{Every: 3}, nil},
		{"a checkpoint too late", func(l [][]byte) [][]byte { return l }, audit.Options{Every: 2}, []string{"unsealed 1-3", "unsealed 5-7"}},
		{"a checkpoint of another key", func([][]byte) [][]byte { return stranger.log(t, "a") }, audit.Options{Every: 3},
			[]string{"unsealed 4-4", "unsealed 8-8", "unsealed 1-8"}},
		{"a checkpoint of another place", func(l [][]byte) [][]byte {
			first, _ := audit.ParseEntry(l[3])
			second, _ := audit.ParseEntry(l[7])
			l[7] = bytes.Replace(l[7], []byte(second.Checkpoint), []byte(first.Checkpoint), 1)
			return l
		}, audit.Options{}, []string{"changed 8-8"}},
		{"a checkpoint of another node", func(l [][]byte) [][]byte {
			own, _ := audit.ParseEntry(l[7])
			foreign, _ := audit.ParseEntry(n.log(t, "c")[7])
			l[7] = bytes.Replace(l[7], []byte(own.Checkpoint), []byte(foreign.Checkpoint), 1)
			return l
		}, audit.Options{}, []string{"changed 8-8"}},
		{"a signed token of another type", func(l [][]byte) [][]byte {
			last, _ := audit.ParseEntry(l[7])
			l[7] = bytes.Replace(l[7], []byte(last.Checkpoint), []byte(n.sign(t, audit.Checkpoint{Node: "a", Sequence: 7, Hash: audit.Hash(inChain(t, l[6]))})), 1)
			return l
		}, audit.Options{}, []string{"unsealed 8-8"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lines := n.log(t, "a")
			test.options.Keys = n.keys
			if len(test.options.Anchors) == 1 {
				test.options.Anchors[0] = verify(lines, test.options).Last["a"]
			}
			// A second node shows that faults are laid at the right door.
			other := n.log(t, "b")
			report := verify(append(test.tamper(lines), other...), test.options)
			var got []string
			for _, finding := range report.Findings {
				if finding.Node == "b" && test.options.Every != 2 {
					t.Errorf("node b was not touched: %s", finding)
				}
				if finding.Node != "b" {
					got = append(got, fmt.Sprintf("%s %d-%d", finding.Fault, finding.From, finding.To))
				}
			}
			if difference := cmp.Diff(test.want, got); difference != "" {
				t.Errorf("findings (-want +got):\n%s%v", difference, report.Findings)
			}
		})
	}
}

func TestUnsealedTailIsCounted(t *testing.T) {
	n := newNotary(t, jose.ES256)
	lines := n.log(t, "a")
	chain, err := audit.Resume(lines[7])
	if err != nil {
		t.Fatal(err)
	}
	more := n.grow(t, chain, 2)
	report := verify(append(lines, more[:2]...), audit.Options{Keys: n.keys})
	if report.Entries != 10 || report.Unsealed != 2 || report.Last["a"].Sequence != 7 || len(report.Findings) != 0 {
		t.Errorf("10 entries, 2 of them not sealed: got %+v", report)
	}
	report = verify(append(lines, more...), audit.Options{Keys: n.keys})
	if report.Entries != 11 || report.Unsealed != 0 || report.Last["a"].Sequence != 10 || len(report.Findings) != 0 {
		t.Errorf("11 entries, all sealed: got %+v", report)
	}
}

func TestFailureLeavesTheChainAsItWas(t *testing.T) {
	n := newNotary(t, jose.ES256)
	chain := audit.NewChain("a")
	if _, err := chain.Checkpoint(t.Context(), noon, n.key.SigningKey()); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("a checkpoint of nothing: %v", err)
	}
	lines := n.grow(t, chain, 1)
	if _, err := chain.Append(noon, audit.Event{Kind: audit.CheckpointKind}); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("a message that claims to be a checkpoint: %v", err)
	}
	if _, err := chain.Append(noon, audit.Event{Kind: audit.RequestObject}); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("an empty message: %v", err)
	}
	if _, err := chain.Append(noon, audit.Event{Kind: audit.RequestObject, Message: audit.Message{JWS: "x", Withheld: &audit.Withheld{}}}); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("a message both verbatim and withheld: %v", err)
	}
	dead := n.key.SigningKey()
	dead.Sign = nil
	dead.Algorithm = "none"
	if _, err := chain.Checkpoint(t.Context(), noon, dead); err == nil {
		t.Error("a key that cannot sign made a checkpoint")
	}
	report := verify(append(lines, n.grow(t, chain, 1)...), audit.Options{Keys: n.keys})
	if len(report.Findings) != 0 || report.Entries != 4 {
		t.Errorf("the chain goes on after a failure: %+v", report)
	}
}

func TestMessageIsKeptVerbatimWithoutItsSecrets(t *testing.T) {
	for _, algorithm := range []string{jose.PS256, jose.ES256, jose.EdDSA} {
		t.Run(algorithm, func(t *testing.T) {
			n := newNotary(t, algorithm)
			plain := n.sign(t, map[string]any{"login_hint": "anna", "authorization_details": []any{map[string]any{"code": "GB"}}})
			message, err := audit.NewMessage(plain)
			if err != nil || message.JWS != plain || message.Withheld != nil {
				t.Fatalf("not kept verbatim: %+v, %v", message, err)
			}
			for _, name := range []string{"code", "access_token", "refresh_token", "token", "client_secret", "client_assertion", "code_verifier", "registration_access_token", "client_notification_token"} {
				secret := n.sign(t, map[string]any{name: "the-secret-value", "state": "s"})
				line, err := appended(t, secret)
				if err != nil {
					t.Fatal(err)
				}
				payload := strings.Split(secret, ".")[1]
				if bytes.Contains(line, []byte("the-secret-value")) || bytes.Contains(line, []byte(payload)) {
					t.Errorf("%s is in the log: %s", name, line)
				}
				entry, err := audit.ParseEntry(line)
				if err != nil {
					t.Fatal(err)
				}
				if string(entry.Message.Withheld.Claims["state"]) != `"s"` {
					t.Errorf("state was lost: %s", line)
				}
				if !entry.Message.Is(secret) {
					t.Error("the original is not recognised")
				}
				if entry.Message.Is(n.sign(t, map[string]any{name: "another", "state": "s"})) || entry.Message.Is("") {
					t.Error("another message passes for the original")
				}
			}
		})
	}
}

// Covers: FD-22. A user's code has few digits: the signature and the digest that are kept are salted by the jti, which is not.
func TestFD22GuessableSecretIsSalted(t *testing.T) {
	n := newNotary(t, jose.ES256)
	for _, name := range []string{"user_code", "password"} {
		signed := n.sign(t, map[string]any{name: "1234", "jti": "0123456789abcdef", "client_notification_token": "the-secret-value", "binding_message": "Pay 7"})
		line, err := appended(t, signed)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(signed, ".")
		for _, gone := range []string{`"1234"`, "0123456789abcdef", "the-secret-value", parts[1]} {
			if bytes.Contains(line, []byte(gone)) {
				t.Errorf("%s is in the log: %s", gone, line)
			}
		}
		entry, err := audit.ParseEntry(line)
		if err != nil || string(entry.Message.Withheld.Claims["binding_message"]) != `"Pay 7"` || !entry.Message.Is(signed) {
			t.Errorf("kept %s, %v", line, err)
		}
		for _, salt := range []any{nil, "", "0123456789abcde", 1234567890123456, []string{"0123456789abcdef"}} {
			t.Run(fmt.Sprintf("refuses the %s with the jti %v", name, salt), func(t *testing.T) {
				if _, err := audit.NewMessage(n.sign(t, map[string]any{name: "1234", "jti": salt})); !errors.Is(err, audit.ErrMessage) {
					t.Errorf("made: %v", err)
				}
			})
		}
	}
}

// Covers: FD-22. An entry whose message is kept without its signature proves nothing, whether its key is known or not.
func TestFD22EntryWithoutSignature(t *testing.T) {
	n := newNotary(t, jose.ES256)
	message, err := audit.NewMessage(n.sign(t, map[string]any{"code": "the-secret-value"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		alter    func(*audit.Withheld)
		unproven bool
	}{
		"accepts what is signed":      {func(*audit.Withheld) {}, false},
		"refuses it without either":   {func(w *audit.Withheld) { w.SigningInput, w.Signature = "", "" }, true},
		"refuses a digest alone":      {func(w *audit.Withheld) { w.Signature = "" }, true},
		"refuses a signature alone":   {func(w *audit.Withheld) { w.SigningInput = "" }, true},
		"refuses a signature not its": {func(w *audit.Withheld) { w.Signature = audit.Hash(nil) + audit.Hash(nil) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, event := range []audit.Event{{}, {Key: n.key.Key().Thumbprint(), JWK: n.key.PublicJWK()}} {
				withheld := *message.Withheld
				test.alter(&withheld)
				if event.JWK == nil && test.unproven && withheld.Signature != "" && withheld.SigningInput != "" {
					continue // nothing to verify it with
				}
				event.Kind, event.Message = audit.RequestObject, audit.Message{Withheld: &withheld}
				line, err := audit.NewChain("a").Append(noon, event)
				if err != nil {
					t.Fatal(err)
				}
				report := verify([][]byte{line}, audit.Options{Keys: n.keys})
				if found := len(report.Findings) == 1 && report.Findings[0].Fault == audit.Unproven; found != test.unproven {
					t.Errorf("found %v", report.Findings)
				}
			}
		})
	}
}

// TestMessageProvesItself: what is kept with a key must be signed by it, whether it is verbatim or has secrets withheld.
func TestMessageProvesItself(t *testing.T) {
	for _, algorithm := range []string{jose.PS256, jose.ES256, jose.EdDSA} {
		n, stranger := newNotary(t, algorithm), newNotary(t, algorithm)
		for _, claims := range []map[string]any{{"state": "s"}, {"code": "the-secret-value"}, {"user_code": "1234", "jti": "0123456789abcdef"}} {
			_, plain := claims["state"]
			for _, by := range []notary{n, stranger} {
				message, err := audit.NewMessage(by.sign(t, claims))
				if err != nil {
					t.Fatal(err)
				}
				line, err := audit.NewChain("a").Append(noon, audit.Event{
					Kind: audit.RequestObject, Key: n.key.Key().Thumbprint(), JWK: n.key.PublicJWK(), Message: message,
				})
				if err != nil {
					t.Fatal(err)
				}
				report := verify([][]byte{line}, audit.Options{Keys: n.keys})
				// Ed25519 signs no digest.
				unproven := by.key.Key().Thumbprint() != n.key.Key().Thumbprint() && !(!plain && algorithm == jose.EdDSA)
				if found := len(report.Findings) == 1 && report.Findings[0].Fault == audit.Unproven; found != unproven {
					t.Errorf("%s, %v: found %v, want a fault: %v", algorithm, claims, report.Findings, unproven)
				}
			}
		}
		message, err := audit.NewMessage(n.sign(t, map[string]any{"state": "s"}))
		if err != nil {
			t.Fatal(err)
		}
		line, err := audit.NewChain("a").Append(noon, audit.Event{
			Kind: audit.RequestObject, Key: stranger.key.Key().Thumbprint(), JWK: n.key.PublicJWK(), Message: message,
		})
		if err != nil {
			t.Fatal(err)
		}
		if report := verify([][]byte{line}, audit.Options{Keys: n.keys}); len(report.Findings) != 1 {
			t.Errorf("a thumbprint of another key passes: %v", report.Findings)
		}
	}
}

// TestDroppedEntries: a log may begin with a checkpoint when it says itself that what came before was dropped.
func TestDroppedEntries(t *testing.T) {
	n := newNotary(t, jose.ES256)
	chain := audit.NewChain("a")
	lines := append(n.grow(t, chain, 3), n.grow(t, chain, 2)...)
	note := func(through string) []byte {
		resumed, err := audit.Resume(lines[len(lines)-1])
		if err != nil {
			t.Fatal(err)
		}
		line, err := resumed.Append(noon, audit.Event{Kind: audit.Dropped, Detail: map[string]string{"node": "a", "through": through}})
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	for name, test := range map[string]struct {
		lines   [][]byte
		dropped map[string]uint64
		faults  int
	}{
		"said in the log":            {append(slices.Clone(lines[3:]), note("3")), nil, 0},
		"said beside it":             {lines[3:], map[string]uint64{"a": 3}, 0},
		"not said":                   {lines[3:], nil, 1},
		"of another node":            {lines[3:], map[string]uint64{"b": 3}, 1},
		"more than was said":         {lines[6:], map[string]uint64{"a": 3}, 1},
		"no checkpoint at the start": {lines[4:], map[string]uint64{"a": 4}, 1},
		"nonsense in the log":        {append(slices.Clone(lines[3:]), note("-1")), nil, 1},
	} {
		report := verify(test.lines, audit.Options{Keys: n.keys, Dropped: test.dropped})
		if len(report.Findings) != test.faults {
			t.Errorf("%s: %v", name, report.Findings)
		}
		if test.faults == 0 && report.Dropped["a"] != 3 {
			t.Errorf("%s: dropped %v", name, report.Dropped)
		}
	}
}

// TestEntriesHoldOneThing: a message, a checkpoint, or a detail, as their kind says.
func TestEntriesHoldOneThing(t *testing.T) {
	n := newNotary(t, jose.ES256)
	message, err := audit.NewMessage(n.sign(t, map[string]any{"state": "s"}))
	if err != nil {
		t.Fatal(err)
	}
	detail := map[string]string{"event": "client_put"}
	for name, test := range map[string]struct {
		event audit.Event
		good  bool
	}{
		"an event":               {audit.Event{Kind: audit.SecurityEvent, Detail: detail}, true},
		"an event that is empty": {audit.Event{Kind: audit.SecurityEvent}, false},
		"an event and a message": {audit.Event{Kind: audit.SecurityEvent, Detail: detail, Message: message}, false},
		"a message":              {audit.Event{Kind: audit.IDToken, Message: message}, true},
		"a message and a detail": {audit.Event{Kind: audit.IDToken, Message: message, Detail: detail}, false},
	} {
		_, err := audit.NewChain("a").Append(noon, test.event)
		if (err == nil) != test.good || err != nil && !errors.Is(err, audit.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWithheldMessageStillProvesItself: the signature fits the digest that was kept, without the secret.
func TestWithheldMessageStillProvesItself(t *testing.T) {
	n := newNotary(t, jose.ES256)
	message, err := audit.NewMessage(n.sign(t, map[string]any{"code": "the-secret-value"}))
	if err != nil {
		t.Fatal(err)
	}
	digest, errDigest := base64.RawURLEncoding.DecodeString(message.Withheld.SigningInput)
	signature, errSignature := base64.RawURLEncoding.DecodeString(message.Withheld.Signature)
	if errDigest != nil || errSignature != nil || len(signature) != 64 {
		t.Fatalf("digest %v, signature %v of %d bytes", errDigest, errSignature, len(signature))
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	public := n.key.Key().Public.(*ecdsa.PublicKey)
	if !ecdsa.Verify(public, digest, r, s) {
		t.Error("the signature does not fit what was kept")
	}
	digest[0] ^= 1
	if ecdsa.Verify(public, digest, r, s) {
		t.Error("the signature fits another digest, too")
	}
}

func appended(t *testing.T, jws string) ([]byte, error) {
	t.Helper()
	message, err := audit.NewMessage(jws)
	if err != nil {
		return nil, err
	}
	return audit.NewChain("a").Append(noon, audit.Event{Kind: audit.AuthorizationResponse, Message: message})
}

func TestUnsignedIsNoEvidence(t *testing.T) {
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30."
	for _, input := range []string{"", "a.b.c", none, "an-access-token"} {
		if _, err := audit.NewMessage(input); !errors.Is(err, audit.ErrMessage) {
			t.Errorf("%q: %v, want ErrMessage", input, err)
		}
	}
}
