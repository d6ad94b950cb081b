package soft_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
	"countersign/signer/soft"
)

const passphrase = "correct horse battery"

func write(t *testing.T, content []byte, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func newConfig(t *testing.T) soft.Config {
	t.Helper()
	return soft.Config{File: filepath.Join(t.TempDir(), "keys"), PassphraseFile: write(t, []byte(passphrase+"\n"), 0o600)}
}

func open(t *testing.T, c soft.Config) *soft.Backend {
	t.Helper()
	b, err := soft.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func generate(t *testing.T, b *soft.Backend, alg signer.Algorithm) signer.Record {
	t.Helper()
	record, err := b.Generate(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestContract(t *testing.T) {
	signertest.Run(t, open(t, newConfig(t)), signertest.Module{Name: "development key file", Has: signertest.Algorithms(), Software: true})
}

// TestKeptInFile: another process finds the keys, also one that was there before them, and what lies in the file is
// readable by nobody else and not by itself.
func TestKeptInFile(t *testing.T) {
	c := newConfig(t)
	before := open(t, c)
	record := generate(t, open(t, c), signer.ES256)
	second := generate(t, before, signer.EdDSA)
	for name, b := range map[string]*soft.Backend{"before": before, "after": open(t, c)} {
		for _, record := range []signer.Record{record, second} {
			signature, err := b.Sign(t.Context(), record, []byte("m"))
			if err != nil || !signer.Verify(record.Public, record.Algorithm, []byte("m"), signature) {
				t.Errorf("%s: %v", name, err)
			}
			if !b.Holds(record) {
				t.Errorf("%s: the address %q is not its own", name, record.URIs)
			}
		}
	}
	info, err := os.Stat(c.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(c.File)
	if err != nil || !bytes.HasPrefix(text, []byte("-----BEGIN COUNTERSIGN DEVELOPMENT KEYS-----\n")) {
		t.Errorf("the file does not say what it is: %.60s, %v", text, err)
	}
	byVariable := soft.Config{File: c.File}
	if byVariable.Passphrase, err = pkcs11.NewPIN(passphrase); err != nil {
		t.Fatal(err)
	}
	if keys, err := open(t, byVariable).List(t.Context()); err != nil || len(keys) != 2 {
		t.Errorf("with the passphrase itself: %v, %v", keys, err)
	}
}

// TestManyMakers: processes that make keys at the same time lose none.
func TestManyMakers(t *testing.T) {
	c := newConfig(t)
	generate(t, open(t, c), signer.ES256)
	var all sync.WaitGroup
	for range 4 {
		b := open(t, c)
		all.Go(func() {
			for range 5 {
				if _, err := b.Generate(t.Context(), signer.EdDSA); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if keys, err := open(t, c).List(t.Context()); err != nil || len(keys) != 21 {
		t.Errorf("%d keys, %v, want 21", len(keys), err)
	}
	left, err := filepath.Glob(c.File + ".*")
	hidden, errHidden := filepath.Glob(filepath.Join(filepath.Dir(c.File), ".*"))
	if err != nil || errHidden != nil || len(left) != 1 || left[0] != c.File+".lock" || len(hidden) > 0 {
		t.Errorf("left behind: %q, %q, %v, %v", left, hidden, err, errHidden)
	}
}

// TestRefused: what is not the file as it was written, by somebody who knows the passphrase, signs nothing.
func TestRefused(t *testing.T) {
	good := newConfig(t)
	record := generate(t, open(t, good), signer.ES256)
	text, err := os.ReadFile(good.File)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte { // a letter of the Base64 is another
		changed := bytes.Clone(text)
		if changed[at]++; changed[at] == 'Z'+1 || changed[at] == 'z'+1 || changed[at] == '9'+1 || changed[at] == '+'+1 || changed[at] == '/'+1 {
			changed[at] = 'A'
		}
		return changed
	}
	body := bytes.IndexByte(text, '\n') + 1
	for name, test := range map[string]struct {
		change func(*soft.Config)
		want   string
		sealed bool
	}{
		"wrong passphrase":          {func(c *soft.Config) { c.PassphraseFile = write(t, []byte("incorrect horse"), 0o600) }, "the passphrase does not open it", true},
		"short passphrase":          {func(c *soft.Config) { c.PassphraseFile = write(t, []byte("12345678901"), 0o600) }, "shorter than 12 bytes", false},
		"no passphrase":             {func(c *soft.Config) { c.PassphraseFile = write(t, nil, 0o600) }, "the passphrase: ", false},
		"passphrase open to others": {func(c *soft.Config) { c.PassphraseFile = write(t, []byte(passphrase), 0o644) }, "others can read it", false},
		"key file open to others":   {func(c *soft.Config) { c.File = write(t, text, 0o604) }, "others can read it", false},
		"another format":            {func(c *soft.Config) { c.File = write(t, flipped(body), 0o600) }, "this release reads format 1", false},
		"damaged salt":              {func(c *soft.Config) { c.File = write(t, flipped(body+8), 0o600) }, "or it is damaged", true},
		"damaged nonce":             {func(c *soft.Config) { c.File = write(t, flipped(body+32), 0o600) }, "or it is damaged", true},
		"damaged keys":              {func(c *soft.Config) { c.File = write(t, flipped(len(text)/2), 0o600) }, "or it is damaged", true},
		"cut short":                 {func(c *soft.Config) { c.File = write(t, text[:len(text)/2], 0o600) }, "not a key file of Countersign", false},
		"empty":                     {func(c *soft.Config) { c.File = write(t, nil, 0o600) }, "not a key file of Countersign", false},
		"more behind it":            {func(c *soft.Config) { c.File = write(t, append(bytes.Clone(text), '\n'), 0o600) }, "holds more than the keys", false},
		"too large":                 {func(c *soft.Config) { c.File = write(t, bytes.Repeat(text, 1<<20/len(text)+1), 0o600) }, "larger than", false},
		"a folder":                  {func(c *soft.Config) { c.File = t.TempDir() }, "is not a regular file", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			test.change(&c)
			b, err := soft.Prepare(c)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			_, signErr := b.Sign(t.Context(), record, []byte("m"))
			for _, err := range []error{b.Connect(t.Context()), signErr} {
				if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, soft.ErrSealed) != test.sealed {
					t.Errorf("said %v, want %s", err, test.want)
				}
				if !errors.Is(err, signer.ErrUnavailable) {
					t.Errorf("%v is not ErrUnavailable", err)
				}
				if err != nil && (strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "12345678901")) {
					t.Errorf("the error shows the passphrase: %v", err)
				}
			}
		})
	}
	if _, err := open(t, good).Sign(t.Context(), record, []byte("m")); err != nil {
		t.Errorf("as it was written: %v", err)
	}
}

// TestSign: what it does not sign, and when it does not.
func TestSign(t *testing.T) {
	b := open(t, newConfig(t))
	record := generate(t, b, signer.ES256)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Sign(ended, record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
	if _, err := b.Generate(t.Context(), "RS256"); err == nil || !strings.Contains(err.Error(), "not one of PS256") {
		t.Errorf("an RS256 key: %v", err)
	}
	if err := b.Destroy(t.Context(), strings.Repeat("A", 43)); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("destroying what is not there: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := soft.Prepare(soft.Config{}); err == nil {
		t.Error("without a file's name: prepared")
	}
}
