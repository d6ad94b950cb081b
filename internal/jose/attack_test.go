package jose

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"

	"countersign/internal/strictjson"
)

// accepts checks that a token is accepted where the malformed ones of an attack are refused.
func accepts(t *testing.T, v *victim, name string, by PrivateKey, header, payload string) {
	t.Helper()
	t.Run("accepts "+name, func(t *testing.T) {
		if err := v.accept(signRaw(t, by, header, payload), ParseOptions{Algorithms: allAlgorithms}); err != nil {
			t.Error(err)
		}
	})
}

// TestAttack14: the key in the header of a DPoP proof is not what it should be.
func TestAttack14(t *testing.T) {
	v := newVictim(t)
	ec, ed := v.own.PublicJWK(), v.ed.PublicJWK()
	member := func(jwk []byte, name string) string {
		var key map[string]string
		if err := strictjson.Decode(jwk, &key); err != nil {
			t.Fatal(err)
		}
		return key[name]
	}
	replace := strings.NewReplacer("$x", member(ec, "x"), "$y", member(ec, "y"), "$n", member(v.rsa.PublicJWK(), "n"),
		"$ed", member(ed, "x"), "$certificate", certificate(t, v.attacker))
	for _, line := range readLines[struct{ Name, Want, Set, JWK string }](t, "testdata/malformed-jwk/attack14.jsonl", 250) {
		t.Run("refuses "+line.Name, func(t *testing.T) {
			refusesKey(t, v, replace.Replace(line.JWK), refusals[line.Want], line.Set == "read")
		})
	}
	for _, private := range []PrivateKey{v.own, v.rsa, v.ed} {
		t.Run("accepts a bare public key for "+private.Algorithm(), func(t *testing.T) {
			key, err := v.acceptEmbedded(t, private, string(with(t, private.PublicJWK(), map[string]any{"use": nil, "alg": nil, "kid": nil})))
			if err != nil || key.Thumbprint() != private.Key().Thumbprint() {
				t.Errorf("%s, %v", key.Thumbprint(), err)
			}
		})
		t.Run("refuses the bare public key of another for "+private.Algorithm(), func(t *testing.T) {
			other := newKey(t, private.Algorithm())
			if _, err := v.acceptEmbedded(t, private, string(other.PublicJWK())); !errors.Is(err, ErrSignature) {
				t.Error(err)
			}
		})
	}
	t.Run("refuses e = 1, with which anybody can sign", func(t *testing.T) {
		n := v.rsa.Key().Public.(*rsa.PublicKey).N
		if err := (&Token{Header: Header{Algorithm: PS256}, signature: make([]byte, 256)}).Verify(&rsa.PublicKey{N: n, E: 1}); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
	})
}

// refusesKey: a key is refused in the header of a token that its owner signed, on its own, and in a set, where it may
// be left out instead, or read if it is only written in another way.
func refusesKey(t *testing.T, v *victim, jwk string, want error, read bool) {
	t.Helper()
	for _, private := range []PrivateKey{v.own, v.rsa, v.ed} {
		if _, err := v.acceptEmbedded(t, private, jwk); err == nil {
			t.Errorf("accepted in a header with %s", private.Algorithm())
		} else {
			checkShown(t, err)
		}
	}
	_, err := ParsePublicJWK([]byte(jwk))
	if want == ErrMalformed && !errors.Is(err, ErrMalformed) || want == ErrNoKey && err != nil {
		t.Errorf("ParsePublicJWK: %v, want %v", err, want)
	}
	set, err := ParseKeySet([]byte(`{"keys":[` + jwk + `]}`))
	if err != nil && !errors.Is(err, ErrMalformed) {
		t.Errorf("ParseKeySet: %v", err)
	}
	if read {
		isRewritten(t, set)
		return
	}
	if len(set.Keys()) != 0 {
		t.Errorf("the set has %+v", set.Keys())
	}
	if len(set.others) != set.size {
		t.Errorf("nothing names the key: %+v", set)
	}
}

// isRewritten: the one key of a set is the same when it is written by the letter of RFC 7518.
func isRewritten(t *testing.T, set KeySet) {
	t.Helper()
	if len(set.keys) != 1 {
		t.Fatalf("%+v", set)
	}
	published, err := set.keys[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	strict, err := ParsePublicJWK(published)
	if err != nil || strict.Thumbprint() != set.keys[0].Thumbprint() {
		t.Errorf("%s: %v", published, err)
	}
}

// acceptEmbedded is what a verifier of DPoP proofs does.
func (v *victim) acceptEmbedded(t *testing.T, private PrivateKey, jwk string) (Key, error) {
	t.Helper()
	raw := signRaw(t, private, `{"alg":"`+private.Algorithm()+`","typ":"dpop+jwt","jwk":`+jwk+`}`, goodClaims)
	token, err := Parse(raw, ParseOptions{Algorithms: allAlgorithms, AllowJWK: true})
	if err != nil {
		return Key{}, err
	}
	return token.VerifyEmbedded()
}

// TestAttack20: the header chooses the algorithm or the key, or two parsers read two things.
func TestAttack20(t *testing.T) {
	refusesCorpus(t, "attack20.jsonl", 200)
	v := newVictim(t)
	accepts(t, v, "ES256", v.own, goodHeader, goodClaims)
	accepts(t, v, "PS256", v.rsa, `{"alg":"PS256","kid":"rsa"}`, goodClaims)
	accepts(t, v, "EdDSA", v.ed, `{"alg":"EdDSA","kid":"ed"}`, goodClaims)
	accepts(t, v, "Ed25519, its other name", v.ed, `{"alg":"Ed25519","kid":"ed"}`, goodClaims)
	accepts(t, v, "members that mean nothing", v.own, `{"alg":"ES256","kid":"k1","x":[1,{"a":"\u00e9"}],"x5t#S256":"AAAA"}`, goodClaims)
	for _, x5c := range []string{`[]`, `["` + certificate(t, v.own) + `"]`, `["` + certificate(t, v.attacker) + `"]`, `["MIIB..."]`, `"AAAA"`, `null`, `1`} {
		accepts(t, v, "an x5c beside the kid, which chooses no key: "+x5c[:min(len(x5c), 12)], v.own, `{"alg":"ES256","kid":"k1","x5c":`+x5c+`,"x5t":"AAAA"}`, goodClaims)
	}
	accepts(t, v, "space around values", v.own, " {\t\"alg\" : \"ES256\",\r\n\"kid\":\"k1\" } ", " { } ")
	accepts(t, v, "nesting 32 deep", v.own, `{"alg":"ES256","kid":"k1","x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`, goodClaims)
}

// TestAttack21: the kid is an injection, or names more than one key.
func TestAttack21(t *testing.T) {
	refusesCorpus(t, "attack21.jsonl", 60)
	t.Run("refuses a kid of 64 KiB at no cost", func(t *testing.T) {
		v := newVictim(t)
		raw := signRaw(t, v.own, `{"alg":"ES256","kid":"`+strings.Repeat("k", 64<<10)+`"}`, goodClaims)
		if count := testing.AllocsPerRun(10, func() {
			if err := v.accept(raw, ParseOptions{Algorithms: allAlgorithms}); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		}); count > 5 {
			t.Errorf("%v allocations", count)
		}
	})
	// A kid is a name and nothing else: the strangest one works if the set has it.
	for _, kid := range []string{"../../etc/passwd", "' OR '1'='1", "*)(uid=*", "${jndi:ldap://a}", "", strings.Repeat("k", MaxKeyID), "\U0001f511"} {
		t.Run("accepts kid "+kid+" if the set has it", func(t *testing.T) {
			key, other := newKey(t, EdDSA), newKey(t, EdDSA)
			set := keySet(t, with(t, other.PublicJWK(), map[string]any{"kid": "k"}), with(t, key.PublicJWK(), map[string]any{"kid": kid}))
			if err := signedBy(t, key, kid).VerifyWith(set); err != nil {
				t.Error(err)
			}
			if err := signedBy(t, newKey(t, EdDSA), kid).VerifyWith(set); !errors.Is(err, ErrSignature) {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

// Covers: SP-51, ATTACK-21. A client may give one kid to several keys; kty, use, alg and crv select among them
// (FAPI 2.0 Security Profile §5.4.3, RFC 7517 §4.5).
func TestKeysWithOneKid(t *testing.T) {
	type members = map[string]any
	ec, other, rsaKey, ed := newKey(t, ES256), newKey(t, ES256), newKey(t, PS256), newKey(t, EdDSA)
	same := func(private PrivateKey, more members) string {
		more["kid"] = "same"
		return with(t, private.PublicJWK(), more)
	}
	all := []string{
		`{"kty":"EC","crv":"P-384","kid":"same","x":"AA","y":"AA"}`,
		`{"kty":"OKP","crv":"X25519","kid":"same","use":"enc","x":"AA"}`,
		`{"kty":"OKP","crv":"Ed448","kid":"same","x":"AA"}`,
		same(ec, members{"use": "enc", "alg": "ECDH-ES"}), // the same key, for encryption
		same(rsaKey, members{"use": "enc", "alg": "RSA-OAEP-256"}),
		same(rsaKey, members{"alg": "RS256"}),
		same(rsaKey, members{}), same(ed, members{"alg": nil, "use": nil}), same(ec, members{"use": nil, "key_ops": []string{"verify"}}),
		with(t, other.PublicJWK(), members{"kid": "other"}),
	}
	t.Run("accepts each by the kind that alg needs, in any order", func(t *testing.T) {
		for range len(all) {
			all = append(all[1:], all[0])
			for _, private := range []PrivateKey{ec, rsaKey, ed} {
				if err := signedBy(t, private, "same").VerifyWith(keySet(t, all...)); err != nil {
					t.Errorf("%s: %v", private.Algorithm(), err)
				}
			}
		}
	})
	t.Run("accepts two of one kind, as during a rotation", func(t *testing.T) {
		set := keySet(t, same(other, members{}), same(ec, members{}))
		for _, private := range []PrivateKey{ec, other} {
			if err := signedBy(t, private, "same").VerifyWith(set); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("refuses a key of the set under the kid of others", func(t *testing.T) {
		if err := signedBy(t, other, "same").VerifyWith(keySet(t, all...)); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	})
	for name, only := range map[string]string{
		"use":     same(ec, members{"use": "enc"}),
		"alg":     same(ec, members{"alg": "ECDH-ES"}),
		"key_ops": same(ec, members{"use": nil, "key_ops": []string{"deriveBits"}}),
		"kty":     same(rsaKey, members{}),
		"crv":     same(ed, members{}),
	} {
		t.Run("refuses the kid if its key has another "+name, func(t *testing.T) {
			if err := signedBy(t, ec, "same").VerifyWith(keySet(t, only)); !errors.Is(err, ErrNoKey) {
				t.Error(err)
			}
		})
	}
}

// TestAttack22: a token of another kind or serialization, or one inside another.
func TestAttack22(t *testing.T) {
	refusesCorpus(t, "attack22.jsonl", 40)
	v := newVictim(t)
	accepts(t, v, "a compact JWS with a JSON object", v.own, goodHeader, goodClaims)
	accepts(t, v, "a claim that holds a token", v.own, goodHeader, `{"iss":"client","inner":"a.b.c"}`)
}

// TestAttack23: password-based encryption with a count of iterations that never ends.
func TestAttack23(t *testing.T) {
	refusesCorpus(t, "attack23.jsonl", 60)
	v := newVictim(t)
	accepts(t, v, "p2c where it means nothing", v.own, `{"alg":"ES256","kid":"k1","p2c":2147483647,"p2s":"AAAA"}`, goodClaims)
}

// TestAttack24: a small token that unpacks to a large one.
func TestAttack24(t *testing.T) {
	refusesCorpus(t, "attack24.jsonl", 10)
	v := newVictim(t)
	accepts(t, v, "the same claims, not compressed", v.own, goodHeader, goodClaims+strings.Repeat(" ", 8000))
	t.Run("refuses a bomb of 8 MiB in less than 1 MiB", func(t *testing.T) {
		bomb := base64.RawURLEncoding.EncodeToString(deflated(t, 8<<20))
		for _, raw := range []string{
			base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k1","zip":"DEF"}`)) + "." + bomb + "." + strings.Repeat("A", 86),
			base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`)) + "..AAAA." + bomb + ".AAAA",
		} {
			if len(raw) > MaxTokenSize {
				t.Fatalf("the bomb has %d bytes: it is refused for its size", len(raw))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := v.accept(raw, ParseOptions{Algorithms: allAlgorithms, AllowJWK: true})
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; err == nil || used > 1<<20 {
				t.Errorf("%d bytes were allocated, %v", used, err)
			}
		}
	})
}

// TestAttack25: input that is cheap to send and dear to take apart (CVE-2025-27144, CVE-2025-30204).
func TestAttack25(t *testing.T) {
	v := newVictim(t)
	header, claims := base64.RawURLEncoding.EncodeToString([]byte(goodHeader)), base64.RawURLEncoding.EncodeToString([]byte(goodClaims))
	long := strings.Repeat("A", 1<<20)
	for name, raw := range map[string]string{
		"1 MiB of dots":                      strings.Repeat(".", 1<<20),
		"1 MiB of dots after a token":        header + "." + claims + strings.Repeat(".", 1<<20),
		"16 KiB of dots":                     strings.Repeat(".", MaxTokenSize),
		"16 KiB of dots and letters":         strings.Repeat("A.", MaxTokenSize/2),
		"1 MiB without a dot":                long,
		"a header of 1 MiB":                  long + "." + claims + ".AA",
		"a payload of 1 MiB":                 header + "." + long + ".AA",
		"a signature of 1 MiB":               header + "." + claims + "." + long,
		"a signature of 15 KiB":              header + "." + claims + "." + long[:15<<10],
		"a byte more than the limit":         header + "." + long[:MaxTokenSize-len(header)-1] + ".",
		"a header nested as deep as it goes": base64.RawURLEncoding.EncodeToString([]byte(`{"a":`+strings.Repeat("[", 9000))) + "..",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			var err error
			if count := testing.AllocsPerRun(5, func() { err = v.accept(raw, ParseOptions{Algorithms: allAlgorithms}) }); count > 25 {
				t.Errorf("%v allocations", count)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		})
	}
	t.Run("refuses the same sizes for keys", func(t *testing.T) {
		for _, raw := range []string{`{"keys":[` + strings.Repeat("[", 60<<10), `{"keys":[` + strings.Repeat("{},", 20000), strings.Repeat(`{"keys":`, 8000), long} {
			if _, err := ParseKeySet([]byte(raw)); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			if _, err := ParsePublicJWK([]byte(raw)); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		}
	})
	filler := strings.Repeat("x", 12<<10-300)
	accepts(t, v, "a token of almost 16 KiB", v.own, goodHeader, `{"iss":"`+filler+`"}`)
}
