package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// device calls the devices' API of a server. Every call is proven by the key of the application.
type device struct {
	issuer string
	key    *ecdsa.PrivateKey
	http   *http.Client
	// nonce is the last one that the server gave (RFC 9449 §8), or empty.
	nonce string
}

// openKey reads the application's key, or makes it.
func openKey(file string) (*ecdsa.PrivateKey, error) {
	encoded, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(file)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(encoded)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", file)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func makeKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// call sends a request and decodes the answer. It is sent once more when the server wants its nonce in the proof.
func (d *device) call(ctx context.Context, method, address string, form url.Values, into any) error {
	for attempt := 0; ; attempt++ {
		again, err := d.try(ctx, method, address, form, into)
		if !again || attempt > 0 {
			return err
		}
	}
}

func (d *device) try(ctx context.Context, method, address string, form url.Values, into any) (again bool, err error) {
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	proof, err := d.proof(method, address, body)
	if err != nil {
		return false, err
	}
	r.Header.Set("DPoP", proof)
	response, err := d.http.Do(r)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if nonce := response.Header.Get("DPoP-Nonce"); nonce != "" {
		d.nonce = nonce
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return false, err
	}
	if response.StatusCode/100 == 2 {
		return false, json.Unmarshal(answer, into)
	}
	var refusal struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(answer, &refusal); err != nil {
		return false, fmt.Errorf("the server answers %s: %q", response.Status, bytes.TrimSpace(answer[:min(len(answer), 200)]))
	}
	return refusal.Code == "use_dpop_nonce", fmt.Errorf("the server refuses: %s: %s", refusal.Code, refusal.Description)
}

// proof is a DPoP proof (RFC 9449 §4.2): a JWT about this one call, with the public key in its header. content_digest is the
// Content-Digest of the body (RFC 9530), so that the key signs what is claimed in it.
func (d *device) proof(method, address, sent string) (string, error) {
	point, err := d.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]any{
		"typ": "dpop+jwt", "alg": "ES256",
		"jwk": map[string]string{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
	})
	if err != nil {
		return "", err
	}
	address, _, _ = strings.Cut(address, "?") // htu is without the query
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": time.Now().Unix()}
	if method == http.MethodPost {
		digest := sha256.Sum256([]byte(sent))
		claims["content_digest"] = "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
	}
	if d.nonce != "" {
		claims["nonce"] = d.nonce
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	message := encode(header) + "." + encode(body)
	digest := sha256.Sum256([]byte(message))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64) // r and s side by side (RFC 7518 §3.4)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return message + "." + encode(signature), nil
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
