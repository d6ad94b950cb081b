package jose

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"
)

// Keys of the RFCs.
const (
	rfc7638Key = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	rfc8037Key = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfc7515Key = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
)

func TestThumbprintVectors(t *testing.T) {
	for _, test := range []struct{ name, key, want string }{
		{"RFC 7638 §3.1", rfc7638Key, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037 A.3", rfc8037Key, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		// The value that RFC 7638 §3 gives for this key: SHA-256 over the members in order, made independently here.
		{"RFC 7515 A.3 key", rfc7515Key, thumbprintOf(`{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := ParsePublicJWK([]byte(test.key))
			if err != nil {
				t.Fatal(err)
			}
			if key.Thumbprint() != test.want {
				t.Errorf("thumbprint %s, want %s", key.Thumbprint(), test.want)
			}
		})
	}
}

func thumbprintOf(members string) string {
	digest := sha256.Sum256([]byte(members))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func TestSignatureVectors(t *testing.T) {
	for _, test := range []struct{ name, key, alg, token, payload string }{
		{
			"RFC 7515 A.3", rfc7515Key, ES256,
			"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
		},
		{
			"RFC 8037 A.4", rfc8037Key, EdDSA,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
			"Example of Ed25519 signing",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := ParsePublicJWK([]byte(test.key))
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(test.token, ParseOptions{Algorithms: []string{test.alg}})
			if err != nil {
				t.Fatal(err)
			}
			if string(token.payload) != test.payload {
				t.Errorf("payload %q", token.payload)
			}
			if err := token.Verify(key.Public); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

// TestPSSSaltOfOurSignatures recovers the salt from a signature by the arithmetic of RFC 8017 §9.1.2, without the
// package that made it: RFC 7518 §3.5 wants it as long as the hash.
func TestPSSSaltOfOurSignatures(t *testing.T) {
	private := newKey(t, PS256)
	signed, err := Sign(context.Background(), private.SigningKey(), "", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	message, encoded := signed[:strings.LastIndexByte(signed, '.')], signed[strings.LastIndexByte(signed, '.')+1:]
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	salt := recoverSalt(t, private.Key().Public.(*rsa.PublicKey), []byte(message), signature)
	if len(salt) != sha256.Size {
		t.Errorf("the salt has %d bytes, want %d", len(salt), sha256.Size)
	}
}

// recoverSalt is EMSA-PSS-VERIFY of RFC 8017 §9.1.2 for any length of salt.
func recoverSalt(t *testing.T, public *rsa.PublicKey, message, signature []byte) []byte {
	t.Helper()
	em := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(int64(public.E)), public.N).
		FillBytes(make([]byte, (public.N.BitLen()+6)/8))
	maskedDB, h := em[:len(em)-33], em[len(em)-33:len(em)-1]
	if em[len(em)-1] != 0xbc {
		t.Fatal("no PSS trailer")
	}
	db := make([]byte, 0, len(maskedDB))
	for counter := uint32(0); len(db) < len(maskedDB); counter++ {
		mask := sha256.Sum256(binary.BigEndian.AppendUint32(bytes.Clone(h), counter))
		for _, b := range mask {
			if len(db) < len(maskedDB) {
				db = append(db, b^maskedDB[len(db)])
			}
		}
	}
	db[0] &= 0x7f // emBits is one less than the modulus
	one := bytes.IndexByte(db, 1)
	if one < 0 || len(bytes.Trim(db[:one], "\x00")) != 0 {
		t.Fatal("no PSS padding")
	}
	salt := db[one+1:]
	digest := sha256.Sum256(message)
	again := sha256.Sum256(append(append(make([]byte, 8), digest[:]...), salt...))
	if !bytes.Equal(again[:], h) {
		t.Fatal("the recovered salt does not give the signature's hash")
	}
	return salt
}
