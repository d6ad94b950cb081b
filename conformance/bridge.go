package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// bridge answers backchannel requests for the person of the plans, who sits before no telephone in CI. It is an
// application that was enrolled as the person's device, and it uses the API that any such application uses: the server
// has no door for tests.
type bridge struct {
	issuer string
	key    *ecdsa.PrivateKey
	public jwk
	http   *http.Client
	// acr and amr are how the person is said to have been authenticated.
	acr, amr string
	progress func(format string, arguments ...any)
}

// startBridge enrols a device with a code that a command prints, and listens on loopback for the suite's calls. It gives
// the address for the suite, in which the suite replaces {auth_req_id} and {action}.
func startBridge(ctx context.Context, o options, s server, progress func(string, ...any)) (address string, stop func(), err error) {
	roots, _, err := serverTrust(o)
	if err != nil {
		return "", nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return "", nil, err
	}
	b := &bridge{
		issuer: s.issuer, key: key, acr: s.acr, amr: "hwk user", progress: progress,
		public: jwk{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
		http:   &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: roots}},
	}
	if err := b.enrol(ctx, o); err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // it ends with stop
	progress("bridge  answers for %s as an enrolled device", o.user)
	return "http://" + listener.Addr().String() + "/?auth_req_id={auth_req_id}&action={action}", func() { _ = server.Close() }, nil
}

// enrol makes the bridge a device of the person.
func (b *bridge) enrol(ctx context.Context, o options) error {
	arguments := strings.Fields(strings.ReplaceAll(o.deviceCode, "{user}", o.user))
	if len(arguments) == 0 {
		return errors.New("-device-code: there is no command")
	}
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		return fmt.Errorf("-device-code: %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(problems.String()))
	}
	form := url.Values{"code": {strings.TrimSpace(string(output))}, "name": {"Conformance run"}}
	_, err = b.call(ctx, http.MethodPost, b.issuer+"/device/api/enrol", form)
	return err
}

// ServeHTTP takes a call of the suite and answers the request as a device.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.answer(r.Context(), r.URL.Query().Get("auth_req_id"), r.URL.Query().Get("action")); err != nil {
		b.progress("bridge  %v", err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *bridge) answer(ctx context.Context, authReqID, action string) error {
	// The devices' name of a request is the SHA-256 of its auth_req_id.
	digest := sha256.Sum256([]byte(authReqID))
	body, err := b.call(ctx, http.MethodGet, b.issuer+"/device/api/requests/"+encode(digest[:]), nil)
	if err != nil {
		return err
	}
	var request struct {
		State         string   `json:"state"`
		ACRs          []string `json:"acr_values"`
		Approve, Deny string
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	address := request.Approve
	if action != "allow" {
		address = request.Deny
	}
	if address == "" {
		return fmt.Errorf("the request does not wait: it is %s", request.State)
	}
	acr := b.acr
	if len(request.ACRs) > 0 {
		acr = request.ACRs[0] // exactly what was asked for: the suite compares
	}
	_, err = b.call(ctx, http.MethodPost, address, url.Values{"acr": {acr}, "amr": {b.amr}})
	return err
}

// maxTries is how often a call is made at most: for a nonce, and for a server that has one person decide only so often.
const maxTries = 8

// call calls the devices' API with a proof of the device's key (RFC 9449 §4.2), again with the server's nonce if it
// wants one, and again after the time that it asks for.
func (b *bridge) call(ctx context.Context, method, address string, form url.Values) ([]byte, error) {
	nonce := ""
	for range maxTries {
		request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		if form != nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		proof, err := b.proof(method, address, nonce)
		if err != nil {
			return nil, err
		}
		request.Header.Set("DPoP", proof)
		response, err := b.http.Do(request)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		response.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode/100 == 2:
			return body, nil
		case nonce == "" && response.Header.Get("DPoP-Nonce") != "" && bytes.Contains(body, []byte("use_dpop_nonce")):
			nonce = response.Header.Get("DPoP-Nonce")
			continue
		case response.StatusCode == http.StatusTooManyRequests: // one person answers for all plans
			wait, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 60 {
				wait = 1
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(wait) * time.Second):
			}
			continue
		}
		return nil, fmt.Errorf("%s %s: %d %s", method, address, response.StatusCode, bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return nil, fmt.Errorf("%s %s: %d tries did not help", method, address, maxTries)
}

// proof is a DPoP proof.
func (b *bridge) proof(method, address, nonce string) (string, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	claims := map[string]any{"jti": encode(id), "htm": method, "htu": address, "iat": time.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	header, err := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": b.public})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(body)
	digest := sha256.Sum256([]byte(signed))
	first, second, err := ecdsa.Sign(rand.Reader, b.key, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(fixed(first), fixed(second)...)), nil
}

// fixed writes a number in the 32 bytes of a signature (RFC 7518 §3.4).
func fixed(number *big.Int) []byte { return number.FillBytes(make([]byte, 32)) }
