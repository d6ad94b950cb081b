package jose

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
)

// decryptionKeys are one key of each kind with the private half in memory, and their public halves.
type decryptionKeys struct {
	ec   *ecdsa.PrivateKey
	rsa  *rsa.PrivateKey
	keys []DecryptionKey
}

func newDecryptionKeys(t testing.TB) decryptionKeys {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return inMemory(t, ec, private)
}

func inMemory(t testing.TB, ec *ecdsa.PrivateKey, private *rsa.PrivateKey) decryptionKeys {
	t.Helper()
	unwrapping := func(by func() hash.Hash) func(context.Context, []byte) ([]byte, error) {
		return func(_ context.Context, wrapped []byte) ([]byte, error) {
			unwrapped, err := rsa.DecryptOAEP(by(), nil, private, wrapped, nil)
			if err != nil {
				return nil, ErrDecryption
			}
			return unwrapped, nil
		}
	}
	return decryptionKeys{ec: ec, rsa: private, keys: []DecryptionKey{
		agreeing(t, "ec", ec), {ID: "rsa", Unwrap: unwrapping(sha256.New), UnwrapSHA1: unwrapping(sha1.New)},
	}}
}

func agreeing(t testing.TB, id string, key *ecdsa.PrivateKey) DecryptionKey {
	t.Helper()
	private, err := key.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	return DecryptionKey{ID: id, Agree: func(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) { return private.ECDH(peer) }}
}

// public is the private half's other one for an algorithm.
func (d decryptionKeys) public(alg string) any {
	if strings.HasPrefix(alg, "RSA") {
		return &d.rsa.PublicKey
	}
	return &d.ec.PublicKey
}

// seal encrypts with go-jose, the independent implementation.
func seal(t testing.TB, public any, alg, enc, kid, plaintext string) string {
	t.Helper()
	options := (&jose.EncrypterOptions{}).WithContentType("JWT")
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc), jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: public, KeyID: kid}, options)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypter.Encrypt([]byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// TestAgreementVector is RFC 7518 Appendix C.
func TestAgreementVector(t *testing.T) {
	bob, err := jwkPrivate(`{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}`)
	if err != nil {
		t.Fatal(err)
	}
	var epk wireKey
	if err := json.Unmarshal([]byte(`{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}`), &epk); err != nil {
		t.Fatal(err)
	}
	e := encrypted{header: encryptedHeader{Algorithm: ECDHES, Encryption: A128GCM, Ephemeral: &epk, PartyU: "QWxpY2U", PartyV: "Qm9i"}}
	made, err := e.agree(t.Context(), agreeing(t, "bob", bob), 16)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.RawURLEncoding.EncodeToString(made); got != "VqqN6vgjbSBcIijNcacQGg" {
		t.Errorf("derived %s", got)
	}
}

func jwkPrivate(raw string) (*ecdsa.PrivateKey, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(raw)); err != nil {
		return nil, err
	}
	return key.Key.(*ecdsa.PrivateKey), nil
}

func TestDecryptsWhatOthersEncrypt(t *testing.T) {
	d := newDecryptionKeys(t)
	for _, alg := range DecryptionAlgorithms() {
		for _, enc := range ContentEncryptions() {
			for _, kid := range []string{"", map[bool]string{true: "rsa", false: "ec"}[wraps(alg)]} {
				plaintext, err := Decrypt(t.Context(), seal(t, d.public(alg), alg, enc, kid, "a.nested.token"), d.keys)
				if err != nil || string(plaintext) != "a.nested.token" {
					t.Errorf("%s %s kid %q: got %q, %v", alg, enc, kid, plaintext, err)
				}
			}
		}
	}
}

func TestOthersDecryptWhatWeEncrypt(t *testing.T) {
	d := newDecryptionKeys(t)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &d.ec.PublicKey, KeyID: "signs", Use: "sig"},
		{Key: &d.ec.PublicKey, KeyID: "ec", Use: "enc"}, {Key: &d.rsa.PublicKey, KeyID: "rsa"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeySet(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range EncryptionAlgorithms() {
		if !keys.Receive(alg) {
			t.Errorf("no key receives %s", alg)
		}
		for _, enc := range ContentEncryptions() {
			token, err := keys.Encrypt([]byte("a.nested.token"), alg, enc, "JWT")
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.ContentEncryption(enc)})
			if err != nil {
				t.Fatal(err)
			}
			var private any = d.ec
			kid := "ec"
			if strings.HasPrefix(alg, "RSA") {
				private, kid = d.rsa, "rsa"
			}
			plaintext, err := parsed.Decrypt(private)
			if err != nil || string(plaintext) != "a.nested.token" || parsed.Header.KeyID != kid || parsed.Header.ExtraHeaders["cty"] != "JWT" {
				t.Errorf("%s %s: got %q, %v, header %+v", alg, enc, plaintext, err, parsed.Header)
			}
		}
	}
	if _, err := keys.Encrypt(nil, "RSA1_5", A256GCM, ""); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("RSA1_5: %v", err)
	}
	if _, err := keys.Encrypt(nil, "dir", A256GCM, ""); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("dir: %v", err)
	}
	signing := KeySet{}
	if _, err := signing.Encrypt(nil, ECDHES, A256GCM, ""); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
}

// TestRefusesKeysToEncryptTo reads sets whose keys must not be encrypted to.
func TestRefusesKeysToEncryptTo(t *testing.T) {
	d := newDecryptionKeys(t)
	for name, key := range map[string]jose.JSONWebKey{
		"a key that signs":            {Key: &d.ec.PublicKey, Use: "sig"},
		"a key for another algorithm": {Key: &d.ec.PublicKey, Algorithm: "ES256"},
		"RSA for RSA1_5":              {Key: &d.rsa.PublicKey, Use: "enc", Algorithm: "RSA1_5"},
	} {
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := ParseKeySet(set)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range EncryptionAlgorithms() {
			if keys.Receive(alg) {
				t.Errorf("%s: receives %s", name, alg)
			}
		}
	}
}

// header replaces the header of a token.
func header(token, raw string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(raw)) + token[strings.IndexByte(token, '.'):]
}

func TestDecryptRefuses(t *testing.T) {
	d := newDecryptionKeys(t)
	good := seal(t, &d.ec.PublicKey, ECDHES, A256GCM, "ec", "text")
	parts := strings.Split(good, ".")
	rawHeader, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) string {
		changed := strings.Replace(string(rawHeader), from, to, 1)
		if changed == string(rawHeader) {
			t.Fatalf("the header has no %s: %s", from, rawHeader)
		}
		return header(good, changed)
	}
	flipped := func(part int) string {
		all := strings.Split(good, ".")
		raw, err := base64.RawURLEncoding.DecodeString(all[part])
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 1
		all[part] = base64.RawURLEncoding.EncodeToString(raw)
		return strings.Join(all, ".")
	}
	other := newDecryptionKeys(t)
	wrapped := strings.Split(seal(t, &d.rsa.PublicKey, RSAOAEP256, A256GCM, "rsa", "text"), ".")
	foreign := strings.Split(seal(t, &other.rsa.PublicKey, RSAOAEP256, A256GCM, "rsa", "text"), ".")
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"nothing":                  {"", ErrMalformed},
		"a signed token":           {"a.b.c", ErrMalformed},
		"six parts":                {good + ".AA", ErrMalformed},
		"too large":                {good + strings.Repeat("A", MaxEncryptedSize), ErrMalformed},
		"alg none":                 {change(`"ECDH-ES"`, `"none"`), ErrAlgorithm},
		"alg dir":                  {change(`"ECDH-ES"`, `"dir"`), ErrAlgorithm},
		"alg RSA1_5":               {change(`"ECDH-ES"`, `"RSA1_5"`), ErrAlgorithm},
		"alg RSA-OAEP with epk":    {change(`"ECDH-ES"`, `"RSA-OAEP"`), ErrMalformed},
		"alg PBES2":                {change(`"ECDH-ES"`, `"PBES2-HS256+A128KW"`), ErrAlgorithm},
		"enc unknown":              {change(`"A256GCM"`, `"A192GCM"`), ErrAlgorithm},
		"zip":                      {change(`{`, `{"zip":"DEF",`), ErrMalformed},
		"crit":                     {change(`{`, `{"crit":["exp"],"exp":1,`), ErrMalformed},
		"jwk":                      {change(`{`, `{"jwk":{},`), ErrMalformed},
		"jku":                      {change(`{`, `{"jku":"https://example.com",`), ErrMalformed},
		"alg twice":                {change(`{`, `{"alg":"ECDH-ES",`), ErrMalformed},
		"no epk":                   {change(`"epk"`, `"epj"`), ErrMalformed},
		"epk with RSA":             {change(`"ECDH-ES"`, `"RSA-OAEP-256"`), ErrMalformed},
		"a private epk":            {change(`"kty":"EC"`, `"kty":"EC","d":"AA"`), ErrDecryption},
		"a point beside the curve": {change(`"x":"`, `"x":"A`), ErrDecryption},
		"another curve":            {change(`"P-256"`, `"P-384"`), ErrDecryption},
		"an unknown kid":           {change(`"kid":"ec"`, `"kid":"ed"`), ErrDecryption},
		"another key's kid":        {change(`"kid":"ec"`, `"kid":"rsa"`), ErrDecryption},
		"an encrypted key":         {strings.Join([]string{parts[0], "AAAA", parts[2], parts[3], parts[4]}, "."), ErrMalformed},
		"a short vector":           {strings.Join([]string{parts[0], "", "AAAA", parts[3], parts[4]}, "."), ErrMalformed},
		"a short tag":              {strings.Join([]string{parts[0], "", parts[2], parts[3], parts[4][:11]}, "."), ErrMalformed},
		"padding":                  {good + "=", ErrMalformed},
		"a line break":             {good + "\n", ErrMalformed},
		"another vector":           {flipped(2), ErrDecryption},
		"another ciphertext":       {flipped(3), ErrDecryption},
		"another tag":              {flipped(4), ErrDecryption},
		"a changed header":         {change(`"cty":"JWT"`, `"cty":"JWS"`), ErrDecryption},
		"wrapped for another":      {strings.Join(foreign, "."), ErrDecryption},
		"a wrapping of another":    {strings.Join([]string{wrapped[0], foreign[1], wrapped[2], wrapped[3], wrapped[4]}, "."), ErrDecryption},
		"for another server":       {seal(t, &other.ec.PublicKey, ECDHES, A256GCM, "", "text"), ErrDecryption},
		"wrapped, for another":     {seal(t, &other.ec.PublicKey, ECDHESA256KW, A256GCM, "", "text"), ErrDecryption},
	} {
		if plaintext, err := Decrypt(t.Context(), test.token, d.keys); !errors.Is(err, test.want) || plaintext != nil {
			t.Errorf("%s: got %q, %v; want %v", name, plaintext, err, test.want)
		}
	}
	if plaintext, err := Decrypt(t.Context(), good, d.keys); err != nil || string(plaintext) != "text" {
		t.Errorf("the token that all of these were made of: %q, %v", plaintext, err)
	}
}

// TestDecryptPassesFaultsOn: an HSM that is away is no wrong token.
func TestDecryptPassesFaultsOn(t *testing.T) {
	d := newDecryptionKeys(t)
	away := errors.New("away")
	keys := []DecryptionKey{
		{ID: "ec", Agree: func(context.Context, *ecdh.PublicKey) ([]byte, error) { return nil, away }},
		{ID: "rsa", Unwrap: func(context.Context, []byte) ([]byte, error) { return nil, away }},
		{ID: "rsa", UnwrapSHA1: func(context.Context, []byte) ([]byte, error) { return nil, away }},
	}
	for _, alg := range DecryptionAlgorithms() {
		if _, err := Decrypt(t.Context(), seal(t, d.public(alg), alg, A128GCM, "", "text"), keys); !errors.Is(err, away) {
			t.Errorf("%s: got %v", alg, err)
		}
	}
}

// TestDecryptTriesFewKeys: without a kid a token costs a bounded number of questions to the HSM.
func TestDecryptTriesFewKeys(t *testing.T) {
	d := newDecryptionKeys(t)
	asked := 0
	var keys []DecryptionKey
	for range 20 {
		keys = append(keys, DecryptionKey{ID: "x", Agree: func(context.Context, *ecdh.PublicKey) ([]byte, error) {
			asked++
			return make([]byte, 32), nil
		}})
	}
	if _, err := Decrypt(t.Context(), seal(t, &d.ec.PublicKey, ECDHES, A128GCM, "", "text"), keys); !errors.Is(err, ErrDecryption) || asked != 4 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}
