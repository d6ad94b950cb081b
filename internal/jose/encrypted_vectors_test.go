package jose

import (
	"bytes"
	"crypto/aes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// meriadoc is the private key of RFC 7520 §5.5.1.
const meriadoc = `{"kty":"EC","kid":"meriadoc.brandybuck@buckland.example","use":"enc","crv":"P-256","x":"Ze2loSV3wrroKUN_4zhwGhCqo3Xhu1td4QjeQ5wIVR0","y":"HlLtdXARY_f55A3fnzQbPcm6hgr34Mp8p-nuzQCE0Zw","d":"r_kHyZ-a06rmxM3yESK84r1otSg-aQcVStkRhA-iCM8"}`

// The key and the token of RFC 7516 §A.1.
const (
	rfc7516Key   = `{"kty":"RSA","n":"oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5StowjzGy-_bq6Gw","e":"AQAB","d":"kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOAbgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE3DzgrTjgyQ","p":"1r52Xk46c-LsfB5P442p7atdPUrxQSy4mti_tZI3Mgf2EuFVbUoDBvaRQ-SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv_hI2_1eTSPVZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN_rKrbfDIwUbTrjjgieRbwC6Cl0","q":"wLb35x7hmQWZsWJmB_vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx_8Fyw1YYa9XGrGnDew00J28cRUoeBB_jKI1oma0Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtc"}`
	rfc7516Token = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ"
)

// TestContentVector is RFC 7516 §A.1: A256GCM under RSA-OAEP, which only a key that says so opens.
func TestContentVector(t *testing.T) {
	private, err := jwkRSA(rfc7516Key)
	if err != nil {
		t.Fatal(err)
	}
	d := inMemory(t, newDecryptionKeys(t).ec, private)
	plaintext, err := Decrypt(t.Context(), rfc7516Token, d.keys)
	if err != nil || string(plaintext) != "The true sign of intelligence is not knowledge but imagination." {
		t.Errorf("got %q, %v", plaintext, err)
	}
	d.keys[1].UnwrapSHA1 = nil
	if plaintext, err := Decrypt(t.Context(), rfc7516Token, d.keys); !errors.Is(err, ErrDecryption) || plaintext != nil {
		t.Errorf("a key for RSA-OAEP-256 alone: got %q, %v", plaintext, err)
	}
}

func jwkRSA(raw string) (*rsa.PrivateKey, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(raw)); err != nil {
		return nil, err
	}
	return key.Key.(*rsa.PrivateKey), nil
}

// TestDecryptVector is RFC 7520 §5.5: ECDH-ES with A128CBC-HS256, from the compact token to its text.
func TestDecryptVector(t *testing.T) {
	private, err := jwkPrivate(meriadoc)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Join([]string{
		"eyJhbGciOiJFQ0RILUVTIiwia2lkIjoibWVyaWFkb2MuYnJhbmR5YnVja0BidWNrbGFuZC5leGFtcGxlIiwiZXBrIjp7Imt0eSI6IkVDIiwiY3J2IjoiUC0yNTYiLCJ4IjoibVBVS1RfYkFXR0hJaGcwVHBqanFWc1AxclhXUXVfdndWT0hIdE5rZFlvQSIsInkiOiI4QlFBc0ltR2VBUzQ2ZnlXdzVNaFlmR1RUMElqQnBGdzJTUzM0RHY0SXJzIn0sImVuYyI6IkExMjhDQkMtSFMyNTYifQ",
		"",
		"yc9N8v5sYyv3iGQT926IUg",
		"BoDlwPnTypYq-ivjmQvAYJLb5Q6l-F3LIgQomlz87yW4OPKbWE1zSTEFjDfhU9IPIOSA9Bml4m7iDFwA-1ZXvHteLDtw4R1XRGMEsDIqAYtskTTmzmzNa-_q4F_evAPUmwlO-ZG45Mnq4uhM1fm_D9rBtWolqZSF3xGNNkpOMQKF1Cl8i8wjzRli7-IXgyirlKQsbhhqRzkv8IcY6aHl24j03C-AR2le1r7URUhArM79BY8soZU0lzwI-sD5PZ3l4NDCCei9XkoIAfsXJWmySPoeRb2Ni5UZL4mYpvKDiwmyzGd65KqVw7MsFfI_K767G9C9Azp73gKZD0DyUn1mn0WW5LmyX_yJ-3AROq8p1WZBfG-ZyJ6195_JGG2m9Csg",
		"WCCkNa-x4BeB9hIDIfFuhg",
	}, ".")
	plaintext, err := Decrypt(t.Context(), token, []DecryptionKey{agreeing(t, "meriadoc.brandybuck@buckland.example", private)})
	if err != nil || !strings.HasPrefix(string(plaintext), "You can trust us to stick with you through thick and thin") {
		t.Errorf("got %q, %v", plaintext, err)
	}
}

// TestContentEncryptionVectors are RFC 7518 §B.1 and §B.3.
func TestContentEncryptionVectors(t *testing.T) {
	plaintext := []byte("A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience")
	data := []byte("The second principle of Auguste Kerckhoffs")
	vector := unhex(t, "1af38c2dc2b96ffdd86694092341bc04")
	for enc, tag := range map[string]string{
		A128CBCHS256: "652c3fa36b0a7c5b3219fab3a30bc1c4",
		A256CBCHS512: "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
	} {
		content := contentOf(enc)
		aead, err := content.aead(ascending(content.key))
		if err != nil {
			t.Fatal(err)
		}
		sealed := aead.Seal(nil, vector, plaintext, data)
		if got := sealed[len(sealed)-content.tag:]; !bytes.Equal(got, unhex(t, tag)) {
			t.Errorf("%s: tag %x, want %s", enc, got, tag)
		}
		if opened, err := aead.Open(nil, vector, sealed, data); err != nil || !bytes.Equal(opened, plaintext) {
			t.Errorf("%s: opened %q, %v", enc, opened, err)
		}
		sealed[0] ^= 1
		if opened, err := aead.Open(nil, vector, sealed, data); err == nil {
			t.Errorf("%s: a changed ciphertext opened as %q", enc, opened)
		}
	}
}

// TestKeyWrapVector is RFC 3394 §4.6, the wrapping of ECDH-ES+A256KW.
func TestKeyWrapVector(t *testing.T) {
	block, err := aes.NewCipher(ascending(32))
	if err != nil {
		t.Fatal(err)
	}
	wrapped := unhex(t, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
	want := unhex(t, "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
	if got, err := josecipher.KeyUnwrap(block, wrapped); err != nil || !bytes.Equal(got, want) {
		t.Errorf("unwrapped %x, %v", got, err)
	}
	for i := range wrapped {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 0x80
		if got, err := josecipher.KeyUnwrap(block, changed); err == nil {
			t.Errorf("byte %d changed: unwrapped %x", i, got)
		}
	}
}

// ascending is the key 00 01 02 … of a size in bytes.
func ascending(size int) []byte {
	key := make([]byte, size)
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
