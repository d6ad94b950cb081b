package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"countersign/internal/flowclient"
)

// Covers: KE-52, KX-11. TestKE52OwnLoginAsClient: a bank's own login, in Go and in TypeScript, calls the API as a registered client, by
// private_key_jwt and with tokens bound by DPoP, and gets nothing with another key.
func TestKE52OwnLoginAsClient(t *testing.T) {
	t.Parallel()
	for kind := range ownLoginKinds() {
		testOwnLoginAsClient(t, kind)
	}
}

// testOwnLoginAsClient tests the one in a language of programs.
func testOwnLoginAsClient(t *testing.T, kind string) {
	t.Helper()
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	folder := t.TempDir()
	newKey := func(name string) map[string]string {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		return map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "own-login", "x": encode(point[1:33]), "y": encode(point[33:])}
	}
	public := newKey("login.pem")
	newKey("other.pem")
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	l := &ownLogin{i: i, address: "localhost:" + ports[0], folder: folder, command: ownLoginKinds()[kind](t, folder)}
	l.addCustomer(t, "sam", "customer-4711")
	i.edited(t, `^\[login\]\n`, "[login]\naddress = \"https://"+l.address+"/\"\nclient_id = \"own-login\"\nacr_values = \"urn:northfold:password\"\n")
	metadata, err := json.Marshal(map[string]any{
		"client_name": "Own login", "grant_types": []string{"client_credentials"}, "scope": "login", "token_endpoint_auth_method": "private_key_jwt",
		"dpop_bound_access_tokens": true, "jwks": map[string]any{"keys": []any{public}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "client.json")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		t.Fatal(err)
	}
	i.run("clients", "add", "own-login", "--file", file)
	serve := func(t *testing.T, key string) *logBuffer {
		t.Helper()
		of := func(name string) string { return filepath.Join(i.folder, "tls", name) }
		return serveLogin(t, exec.Command(l.command[0], append(l.command[1:len(l.command):len(l.command)],
			"--issuer", "https://"+i.address, "--ca", of("ca.crt"), "--client-id", "own-login",
			"--private-key", filepath.Join(folder, key), "--listen", l.address, "--certificate", of("server.crt"), "--key", of("server.key"),
			"--users", filepath.Join(folder, "users.json"))...), l.address)
	}
	server := i.serve()
	t.Run("refuses another key of the one in "+kind, func(t *testing.T) {
		var logs *logBuffer
		t.Run("accepts no call", func(t *testing.T) { // whose end ends this login
			logs = serve(t, "other.pem")
			_, address := a.begin()
			if at := i.visitor(t).open(address); at.status != http.StatusBadGateway || !strings.Contains(at.body, "does not work at the moment") {
				t.Errorf("%d %s", at.status, at.body)
			}
		})
		if !strings.Contains(logs.String(), "invalid_client") {
			t.Errorf("the login says %s", logs)
		}
	})
	serve(t, "login.pem")
	t.Run("accepts sign-ins and decisions at the one in "+kind, func(t *testing.T) {
		for range 2 { // the second time with the token of the first
			transaction, address := a.begin()
			v := i.visitor(t)
			at := v.signIn(v.open(address))
			sent := v.send(at, nil, url.Values{"form_token": {at.token(t)}, "shown": {at.shown()}, "action": {"allow"}})
			v.open(sent.header.Get("Location"))
			code, err := a.returned(transaction)
			if err != nil {
				t.Fatal(err)
			}
			if _, claims := a.redeem(transaction, code); claims["sub"] != "customer-4711" {
				t.Errorf("the ID token says %v", claims)
			}
		}
	})
	server.signal(syscall.SIGTERM)
	server.wait()
}

// Covers: KE-53, KX-12. TestKE53OwnLoginLanguages: the pages of the examples in Go and in TypeScript speak the language that the application
// or the browser wants, from right to left where that is written so, and what is asked for is in the same.
func TestKE53OwnLoginLanguages(t *testing.T) {
	for kind := range ownLoginKinds() {
		testOwnLoginLanguages(t, kind)
	}
}

// testOwnLoginLanguages tests the one in a language of programs.
func testOwnLoginLanguages(t *testing.T, kind string) {
	t.Helper()
	i := newInstallation(t)
	a := i.application(t, "orchid", "Orchid Budget")
	l := i.ownLogin(t, kind, both)
	server := i.serve()
	l.serve(t)
	b := i.browser()
	for language, want := range map[string]struct{ dir, signIn, allow, asks string }{
		"en":    {"ltr", "Sign in to Northfold Bank", "Allow", "Orchid Budget asks"},
		"pt-BR": {"ltr", "Entrar em Northfold Bank", "Permitir", "Orchid Budget pede"},
		"ar":    {"rtl", "تسجيل الدخول إلى Northfold Bank", "السماح", "Orchid Budget يطلب"},
	} {
		t.Run("accepts "+language+" at the one in "+kind, func(t *testing.T) {
			transaction, address := a.begin(flowclient.Set("ui_locales", language), flowclient.Set("prompt", "login consent"))
			b.Visit(address)
			page := func() string { return b.Eval("document.documentElement.lang + ' ' + document.documentElement.dir") }
			if heading := b.Text("h1"); heading != want.signIn || page() != language+" "+want.dir {
				t.Errorf("the heading is %q, the page %s", heading, page())
			}
			for _, width := range []int64{320, 1280} {
				b.Look(width, 800, false)
				accessible(b)
			}
			b.SignIn("sam", "not the password")
			accessible(b)
			b.SignIn("sam", customerPassword)
			if text, allow := b.Text("main"), b.Text("#allow"); !strings.Contains(text, want.asks) || allow != want.allow || page() != language+" "+want.dir {
				t.Errorf("the page is %s and says %q, the button %q", page(), text, allow)
			}
			for _, width := range []int64{320, 1280} {
				b.Look(width, 800, false)
				accessible(b)
			}
			b.Click("#allow")
			if _, err := a.returned(transaction); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("refuses a language that the one in "+kind+" does not have, for English", func(t *testing.T) {
		_, address := a.begin(flowclient.Set("ui_locales", "de"), flowclient.Set("prompt", "login consent"))
		b.Visit(address)
		if heading := b.Text("h1"); heading != "Sign in to Northfold Bank" {
			t.Errorf("the heading is %q", heading)
		}
	})
	b.Done()
	server.signal(syscall.SIGTERM)
	server.wait()
}
