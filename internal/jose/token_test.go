package jose

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"countersign/internal/strictjson"
)

var allAlgorithms = []string{PS256, ES256, EdDSA}

func newKey(t testing.TB, algorithm string) PrivateKey {
	t.Helper()
	key, err := NewPrivateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signRaw signs any header and payload, so that what a test spoils is the only fault of a token.
func signRaw(t testing.TB, key PrivateKey, header, payload string) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := key.sign(context.Background(), []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestSignParseVerify(t *testing.T) {
	for _, algorithm := range allAlgorithms {
		t.Run(algorithm, func(t *testing.T) {
			private := newKey(t, algorithm)
			type claims struct {
				Subject string `json:"sub"`
			}
			signed, err := Sign(context.Background(), private.SigningKey(), "at+jwt", claims{"<é&>"})
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms})
			if err != nil {
				t.Fatal(err)
			}
			if token.Header.Algorithm != algorithm || token.Header.KeyID != private.ID() || !token.Header.HasType("at+jwt") {
				t.Errorf("header %+v", token.Header)
			}
			if err := token.Verify(private.Key().Public); err != nil {
				t.Errorf("Verify: %v", err)
			}
			if err := token.VerifyWith(NewKeySet(private.Key())); err != nil {
				t.Errorf("VerifyWith: %v", err)
			}
			var read claims
			if err := token.Claims(&read); err != nil || read.Subject != "<é&>" {
				t.Errorf("Claims: %+v, %v", read, err)
			}
			if want := `{"sub":"<é&>"}`; string(token.payload) != want {
				t.Errorf("payload %s, want %s", token.payload, want)
			}
			// go-jose agrees.
			other, err := gojose.ParseSignedCompact(signed, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Verify(private.Key().Public); err != nil {
				t.Errorf("go-jose refuses the signature: %v", err)
			}
		})
	}
}

func TestHeaderIsDeterministic(t *testing.T) {
	private := newKey(t, EdDSA)
	key := private.SigningKey()
	key.ID = "k<1>"
	signed, err := Sign(context.Background(), key, "JWT", map[string]int{"b": 1, "a": 2})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(signed, ".")
	for i, want := range []string{`{"alg":"EdDSA","kid":"k<1>","typ":"JWT"}`, `{"a":2,"b":1}`} {
		if got, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil || string(got) != want {
			t.Errorf("part %d: %s, %v, want %s", i, got, err, want)
		}
	}
}

func TestVerifyTokensOfGoJose(t *testing.T) {
	for _, algorithm := range allAlgorithms {
		t.Run(algorithm, func(t *testing.T) {
			private := newKey(t, algorithm)
			signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(algorithm), Key: private.signer}, nil)
			if err != nil {
				t.Fatal(err)
			}
			object, err := signer.Sign([]byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := object.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(signed, ParseOptions{Algorithms: []string{algorithm}})
			if err != nil {
				t.Fatal(err)
			}
			if err := token.Verify(private.Key().Public); err != nil {
				t.Error(err)
			}
		})
	}
}

// Covers: ATTACK-20, ATTACK-21, ATTACK-22, ATTACK-23, ATTACK-24, RULE-13. Each header is signed correctly: nothing but
// the header is wrong.
func TestRefusedHeaders(t *testing.T) {
	private := newKey(t, ES256)
	jwk := string(private.PublicJWK())
	for _, test := range []struct {
		header string
		want   error
	}{
		{`{}`, ErrAlgorithm},
		{`{"alg":null}`, ErrAlgorithm},
		{`{"alg":""}`, ErrAlgorithm},
		{`{"alg":"none"}`, ErrAlgorithm},
		{`{"alg":"None"}`, ErrAlgorithm},
		{`{"alg":"NONE"}`, ErrAlgorithm},
		{`{"alg":"nOnE"}`, ErrAlgorithm},
		{`{"alg":"HS256"}`, ErrAlgorithm},
		{`{"alg":"RS256"}`, ErrAlgorithm},
		{`{"alg":"RS1"}`, ErrAlgorithm},
		{`{"alg":"PS384"}`, ErrAlgorithm},
		{`{"alg":"ES384"}`, ErrAlgorithm},
		{`{"alg":"ES256K"}`, ErrAlgorithm},
		{`{"alg":"es256"}`, ErrAlgorithm},
		{`{"alg":"ES256 "}`, ErrAlgorithm},
		{`{"Alg":"ES256"}`, ErrAlgorithm},
		{`{"ALG":"ES256","alg":"none"}`, ErrAlgorithm},
		{`{"alg":"PBES2-HS256+A128KW","p2c":2147483647}`, ErrAlgorithm},
		{`{"alg":"RSA-OAEP-256","enc":"A256GCM"}`, ErrAlgorithm},
		{`{"alg":"dir","enc":"A256GCM"}`, ErrAlgorithm},
		{`{"alg":["ES256"]}`, ErrMalformed},
		{`{"alg":256}`, ErrMalformed},
		{`{"alg":"ES256","alg":"ES256"}`, ErrMalformed},
		{`{"alg":"none","alg":"ES256"}`, ErrMalformed},
		{`{"alg":"ES256","a":{"b":1,"b":2}}`, ErrMalformed},
		{`{"alg":"ES256","a":1,"\u0061":2}`, ErrMalformed},
		{`{"alg":"ES256","crit":["exp"],"exp":1}`, ErrMalformed},
		{`{"alg":"ES256","crit":[]}`, ErrMalformed},
		{`{"alg":"ES256","crit":null}`, ErrMalformed},
		{`{"alg":"ES256","b64":false}`, ErrMalformed},
		{`{"alg":"ES256","b64":true}`, ErrMalformed},
		{`{"alg":"ES256","zip":"DEF"}`, ErrMalformed},
		{`{"alg":"ES256","jku":"https://attacker.example/jwks"}`, ErrMalformed},
		{`{"alg":"ES256","x5u":"https://attacker.example/cert"}`, ErrMalformed},
		{`{"alg":"ES256","jwk":` + jwk + `}`, ErrMalformed},
		{`{"alg":"ES256","jwk":null}`, ErrMalformed},
		{`{"alg":"ES256","kid":1}`, ErrMalformed},
		{`{"alg":"ES256","kid":"` + strings.Repeat("k", MaxKeyID+1) + `"}`, ErrMalformed},
		{`{"alg":"ES256","typ":"` + strings.Repeat("t", MaxKeyID+1) + `"}`, ErrMalformed},
		{`{"alg":"ES256","typ":{}}`, ErrMalformed},
		{`{"alg":"ES256","x":` + strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth) + `}`, ErrMalformed},
		{`{"alg":"ES256"`, ErrMalformed},
		{`{"alg":"ES256"}{}`, ErrMalformed},
		{`{"alg":"ES256",}`, ErrMalformed},
		{`{"alg":"ES256"}` + "\x00", ErrMalformed},
		{"{\"alg\":\"ES256\",\"a\":\"\xff\"}", ErrMalformed},
		{"\xef\xbb\xbf" + `{"alg":"ES256"}`, ErrMalformed},
		{`["ES256"]`, ErrMalformed},
		{`"ES256"`, ErrMalformed},
		{`null`, ErrMalformed},
		{``, ErrMalformed},
	} {
		t.Run("refuses "+test.header, func(t *testing.T) {
			_, err := Parse(signRaw(t, private, test.header, `{}`), ParseOptions{Algorithms: allAlgorithms})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "attacker") || len(err.Error()) > 200) {
				t.Errorf("the error repeats its input: %v", err)
			}
		})
	}
}

// Covers: ATTACK-20, ATTACK-21, ATTACK-22, ATTACK-23, ATTACK-24, RULE-13.
func TestAcceptedHeaders(t *testing.T) {
	private := newKey(t, EdDSA)
	for _, header := range []string{
		`{"alg":"EdDSA"}`,
		`{"alg":"Ed25519"}`, // RFC 9864 §2.2
		`{"alg":"EdDSA","kid":null,"typ":null}`,
		`{"alg":"EdDSA","kid":"../../etc/passwd' OR 1=1"}`, // opaque
		`{"alg":"EdDSA","unknown":{"a":[1,2.5e3,true,null,"é\ud83d\ude00"]},"x5t#S256":"abc","cty":"JWT"}`,
		" \r\n\t{ \"alg\" : \"EdDSA\" } ",
	} {
		t.Run("accepts "+header, func(t *testing.T) {
			token, err := Parse(signRaw(t, private, header, `{}`), ParseOptions{Algorithms: []string{EdDSA}})
			if err != nil {
				t.Fatal(err)
			}
			if token.Header.Algorithm != EdDSA {
				t.Errorf("alg is read as %q", token.Header.Algorithm)
			}
			if err := token.Verify(private.Key().Public); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnlyTheCallersAlgorithms(t *testing.T) {
	for _, signedWith := range allAlgorithms {
		signed := signRaw(t, newKey(t, signedWith), fmt.Sprintf(`{"alg":%q}`, signedWith), `{}`)
		for _, accepted := range allAlgorithms {
			_, err := Parse(signed, ParseOptions{Algorithms: []string{accepted}})
			if got, want := err == nil, signedWith == accepted; got != want {
				t.Errorf("%s where %s is accepted: %v", signedWith, accepted, err)
			}
		}
		if _, err := Parse(signed, ParseOptions{}); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s without any accepted algorithm: %v", signedWith, err)
		}
		if _, err := Parse(signed, ParseOptions{Algorithms: []string{"none", "HS256", "RS256"}}); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s where only unknown algorithms are accepted: %v", signedWith, err)
		}
	}
}

// Covers: ATTACK-22, ATTACK-25. It reads testdata/malformed.txt: a name, a space, and a token that must not be parsed.
// They are variations of the token on its first line, which is good.
func TestMalformedCorpus(t *testing.T) {
	file, err := os.Open("testdata/malformed.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	refused := 0
	for lines.Scan() {
		name, encoded, _ := strings.Cut(lines.Text(), " ")
		var raw string
		if err := json.Unmarshal([]byte(encoded), &raw); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err := Parse(raw, ParseOptions{Algorithms: allAlgorithms})
		if name == "good" {
			t.Run("accepts the good token", func(t *testing.T) {
				if err != nil {
					t.Error(err)
				}
			})
			continue
		}
		refused++
		t.Run("refuses "+name, func(t *testing.T) {
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		})
	}
	if err := lines.Err(); err != nil || refused < 20 {
		t.Errorf("%d malformed tokens read, %v", refused, err)
	}
}

// Covers: ATTACK-25, RULE-05. The order of the checks is size, dots, and only then anything that allocates
// (CVE-2025-27144).
func TestHugeInputIsCheap(t *testing.T) {
	for name, raw := range map[string]string{
		"1 MiB of dots":     strings.Repeat(".", 1<<20),
		"16 KiB of dots":    strings.Repeat(".", MaxTokenSize),
		"one byte too many": strings.Repeat("a", MaxTokenSize-1) + "..",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			allocations := testing.AllocsPerRun(10, func() {
				if _, err := Parse(raw, ParseOptions{Algorithms: allAlgorithms}); !errors.Is(err, ErrMalformed) {
					t.Error(err)
				}
			})
			if allocations > 5 {
				t.Errorf("%v allocations", allocations)
			}
		})
	}
}

func TestMaxTokenSizeIsAccepted(t *testing.T) {
	private := newKey(t, EdDSA)
	overhead := len(signRaw(t, private, `{"alg":"EdDSA"}`, `{"a":""}`))
	filler := strings.Repeat("x", (MaxTokenSize-overhead)*3/4-2)
	raw := signRaw(t, private, `{"alg":"EdDSA"}`, `{"a":"`+filler+`"}`)
	if len(raw) > MaxTokenSize || len(raw) < MaxTokenSize-8 {
		t.Fatalf("the token has %d bytes", len(raw))
	}
	if _, err := Parse(raw, ParseOptions{Algorithms: allAlgorithms}); err != nil {
		t.Error(err)
	}
}

func TestPayloadMustBeAnObject(t *testing.T) {
	private := newKey(t, EdDSA)
	for _, payload := range []string{``, `null`, `[]`, `"x"`, `1`, `{"a":1,"a":1}`, `{} {}`, `{"a":01}`, `{"a":"\ud800"}`, `{"a":"\u0000"}`} {
		token, err := Parse(signRaw(t, private, `{"alg":"EdDSA"}`, payload), ParseOptions{Algorithms: allAlgorithms})
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := token.Claims(&claims); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

// Covers: ATTACK-27.
func TestWrongSignatures(t *testing.T) {
	order, _ := base64.RawURLEncoding.DecodeString("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE") // n of P-256
	zero, one := make([]byte, 32), append(make([]byte, 31), 1)
	max := []byte(strings.Repeat("\xff", 32))
	for _, algorithm := range allAlgorithms {
		private := newKey(t, algorithm)
		signed := signRaw(t, private, fmt.Sprintf(`{"alg":%q}`, algorithm), `{}`)
		input, encoded := signed[:strings.LastIndexByte(signed, '.')], signed[strings.LastIndexByte(signed, '.')+1:]
		good, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		flipped := append([]byte(nil), good...)
		flipped[len(flipped)/2] ^= 1
		bad := map[string][]byte{
			"one bit":  flipped,
			"zeros":    make([]byte, len(good)),
			"all ones": []byte(strings.Repeat("\xff", len(good))),
		}
		if algorithm == ES256 {
			bad["r = 0"] = append(append([]byte(nil), zero...), good[32:]...)
			bad["s = 0"] = append(append([]byte(nil), good[:32]...), zero...)
			bad["r = n"] = append(append([]byte(nil), order...), good[32:]...)
			bad["s = n"] = append(append([]byte(nil), good[:32]...), order...)
			bad["r = s = n"] = append(append([]byte(nil), order...), order...)
			bad["r = s = 1"] = append(append([]byte(nil), one...), one...)
			bad["r = s = max"] = append(append([]byte(nil), max...), max...)
			bad["swapped"] = append(append([]byte(nil), good[32:]...), good[:32]...)
		}
		for name, signature := range bad {
			t.Run("refuses "+algorithm+" "+name, func(t *testing.T) {
				token, err := Parse(input+"."+base64.RawURLEncoding.EncodeToString(signature), ParseOptions{Algorithms: allAlgorithms})
				if err != nil {
					t.Fatal(err)
				}
				if err := token.Verify(private.Key().Public); !errors.Is(err, ErrSignature) {
					t.Error(err)
				}
			})
		}
		token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms})
		if err != nil {
			t.Fatal(err)
		}
		t.Run("accepts "+algorithm+" as it was signed", func(t *testing.T) {
			if err := token.Verify(private.Key().Public); err != nil {
				t.Error(err)
			}
		})
		if err := token.Verify(newKey(t, algorithm).Key().Public); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, another key: %v", algorithm, err)
		}
		for _, other := range allAlgorithms {
			if other != algorithm {
				if err := token.Verify(newKey(t, other).Key().Public); !errors.Is(err, ErrNoKey) {
					t.Errorf("%s with a key for %s: %v", algorithm, other, err)
				}
			}
		}
		for _, strange := range []crypto.PublicKey{nil, []byte("secret"), "key", private.signer} {
			if err := token.Verify(strange); !errors.Is(err, ErrNoKey) {
				t.Errorf("%s with a %T: %v", algorithm, strange, err)
			}
		}
	}
}

func TestPSSSaltMustBeAsLongAsTheHash(t *testing.T) {
	private := newKey(t, PS256)
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"PS256"}`)) + ".e30"
	digest := sha256.Sum256([]byte(input))
	for _, length := range []int{1, 20, 31, 32, 33, 64, 222} {
		signature, err := rsa.SignPSS(rand.Reader, private.signer.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: length})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(recoverSalt(t, private.Key().Public.(*rsa.PublicKey), []byte(input), signature)); got != length {
			t.Fatalf("the test signs with a salt of %d bytes, not %d", got, length)
		}
		token, err := Parse(input+"."+base64.RawURLEncoding.EncodeToString(signature), ParseOptions{Algorithms: []string{PS256}})
		if err != nil {
			t.Fatal(err)
		}
		if err := token.Verify(private.Key().Public); (err == nil) != (length == 32) {
			t.Errorf("salt of %d bytes: %v", length, err)
		}
	}
}

func TestSignatureLengths(t *testing.T) {
	for _, test := range []struct {
		algorithm string
		length    int
		ok        bool
	}{
		{ES256, 64, true}, {ES256, 63, false}, {ES256, 65, false}, {ES256, 0, false}, {ES256, 70, false}, {ES256, 96, false},
		{EdDSA, 64, true}, {EdDSA, 0, false}, {EdDSA, 114, false},
		{PS256, 256, true}, {PS256, 384, true}, {PS256, 512, true}, {PS256, 128, false}, {PS256, 1024, false}, {PS256, 0, false},
	} {
		raw := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":%q}`, test.algorithm))) + ".e30." +
			base64.RawURLEncoding.EncodeToString(make([]byte, test.length))
		if _, err := Parse(raw, ParseOptions{Algorithms: allAlgorithms}); (err == nil) != test.ok {
			t.Errorf("%s with %d bytes: %v", test.algorithm, test.length, err)
		}
	}
}

func TestSignRefusesWhatIsNoSignature(t *testing.T) {
	broken := errors.New("HSM gone")
	for name, test := range map[string]struct {
		key  SigningKey
		want error
	}{
		"DER":   {SigningKey{Algorithm: ES256, Sign: func(context.Context, []byte) ([]byte, error) { return make([]byte, 71), nil }}, nil},
		"error": {SigningKey{Algorithm: ES256, Sign: func(context.Context, []byte) ([]byte, error) { return nil, broken }}, broken},
		"none":  {SigningKey{Algorithm: "none", Sign: func(context.Context, []byte) ([]byte, error) { return nil, nil }}, ErrAlgorithm},
	} {
		signed, err := Sign(context.Background(), test.key, "", struct{}{})
		if err == nil || signed != "" || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %q, %v", name, signed, err)
		}
	}
	if _, err := Sign(context.Background(), newKey(t, EdDSA).SigningKey(), "", func() {}); err == nil {
		t.Error("claims that are no JSON were signed")
	}
}

func TestHasType(t *testing.T) {
	for _, test := range []struct {
		typ  string
		want bool
	}{
		{"dpop+jwt", true}, {"DPoP+JWT", true}, {"application/dpop+jwt", true}, {"Application/DPOP+jwt", true},
		{"", false}, {"JWT", false}, {"dpop", false}, {"text/dpop+jwt", false}, {"application/x/dpop+jwt", false}, {"application/application/dpop+jwt", false},
	} {
		if got := (Header{Type: test.typ}).HasType("dpop+jwt"); got != test.want {
			t.Errorf("%q: %v", test.typ, got)
		}
	}
}
