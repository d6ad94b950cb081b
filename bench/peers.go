package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"countersign/internal/jose"
)

// startNode starts node-oidc-provider with its own in-memory adapter and FAPI 2.0 settings.
func startNode(ctx context.Context, m *machine, s *server) error {
	installed := filepath.Join(m.cache, "node")
	if err := install(ctx, "npm", "node.js and npm", installed, func() *exec.Cmd {
		command := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		command.Dir = installed
		return command
	}, filepath.Join(m.peers, "node")); err != nil {
		return err
	}
	folder, err := m.peer(s, "node")
	if err != nil {
		return err
	}
	port, err := m.port()
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("https://localhost:%d", port)
	s.endpoints = endpointsAt(issuer, "/request", "/auth", "/token")
	command := exec.Command("node", "server.mjs")
	command.Dir = installed
	command.Env = append(os.Environ(), "NODE_ENV=production", "ISSUER="+issuer, fmt.Sprint("PORT=", port), "FOLDER="+folder, "ALG="+s.alg)
	command.Env = append(command.Env, m.peerEnvironment...)
	return m.launch(ctx, s, "node", command)
}

// startKeycloak starts Keycloak in its production mode with its own embedded database, and one realm.
func startKeycloak(ctx context.Context, m *machine, s *server) error {
	installed := filepath.Join(m.cache, "keycloak")
	absolute, err := filepath.Abs(installed)
	if err != nil {
		return err
	}
	if err := install(ctx, "mvn", "Maven and a JDK of 21 or later", installed, func() *exec.Cmd {
		command := exec.CommandContext(ctx, "mvn", "-q", "-B", "package")
		command.Dir = installed
		return command
	}, filepath.Join(m.peers, "keycloak")); err != nil {
		return err
	}
	homes, err := filepath.Glob(filepath.Join(absolute, "target", "keycloak-*", "bin", "kc.sh"))
	if err != nil || len(homes) != 1 {
		return errors.Join(err, fmt.Errorf("there should be one Keycloak below %s, not %d", absolute, len(homes)))
	}
	folder, err := m.peer(s, "keycloak")
	if err != nil {
		return err
	}
	if err := m.realm(s, folder, installed); err != nil {
		return err
	}
	home := filepath.Dir(filepath.Dir(homes[0]))
	data := filepath.Join(home, "data", "import")
	if err := errors.Join(os.RemoveAll(filepath.Join(home, "data")), os.MkdirAll(data, 0o700)); err != nil {
		return err
	}
	realm, err := os.ReadFile(filepath.Join(folder, "realm.json"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "bench-realm.json"), realm, 0o600); err != nil {
		return err
	}
	port, err := m.port()
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("https://localhost:%d/realms/bench", port)
	management, err := m.port()
	if err != nil {
		return err
	}
	connect := "/protocol/openid-connect"
	s.endpoints = endpointsAt(issuer, connect+"/ext/par/request", connect+"/auth", connect+"/token")
	s.answer, s.warmLonger = keycloakPages, 3
	command := exec.Command(homes[0], "start", "--import-realm", fmt.Sprintf("--hostname=https://localhost:%d", port),
		fmt.Sprint("--https-port=", port), fmt.Sprint("--http-management-port=", management), "--http-host=127.0.0.1",
		"--https-certificate-file="+filepath.Join(folder, "tls.crt"), "--https-certificate-key-file="+filepath.Join(folder, "tls.key"),
		"--db=dev-file", "--features=dpop", "--cache=local")
	return m.launch(ctx, s, "keycloak", command)
}

// keycloakPages signs in; the realm's client asks for no consent.
func keycloakPages(address, page string) (map[string][]string, string, error) {
	action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
	if action == nil || !strings.Contains(page, `name="password"`) {
		return nil, "", fmt.Errorf("no sign-in form on the page %s: %s", address, page)
	}
	return url.Values{"username": {person}, "password": {peerPassword}, "credentialId": {""}}, html.UnescapeString(action[1]), nil
}

// peerPassword signs the one person of a throw-away server in.
const peerPassword = "correct horse battery staple"

// realm writes Keycloak's realm with the client's key in it.
func (m *machine) realm(s *server, folder, installed string) error {
	template, err := os.ReadFile(filepath.Join(installed, "realm.json"))
	if err != nil {
		return err
	}
	keys, err := json.Marshal(fmt.Sprintf(`{"keys":[%s]}`, s.key.PublicJWK()))
	if err != nil {
		return err
	}
	password, err := json.Marshal(peerPassword)
	if err != nil {
		return err
	}
	text := strings.NewReplacer(`"@JWKS@"`, string(keys), `"@PASSWORD@"`, string(password)).Replace(string(template))
	return os.WriteFile(filepath.Join(folder, "realm.json"), []byte(text), 0o600)
}

// peer makes what each peer needs: a certificate, and the client's key.
func (m *machine) peer(s *server, name string) (folder string, err error) {
	if folder, err = filepath.Abs(filepath.Join(m.folder, name)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if s.key, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "client.jwk"), s.key.PublicJWK(), 0o600); err != nil {
		return "", err
	}
	if err := certificate(folder); err != nil {
		return "", err
	}
	return folder, s.trust(filepath.Join(folder, "tls.crt"))
}

// certificate writes a self-signed RSA certificate for localhost: the kind that our own development state has.
func certificate(folder string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(folder, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// install copies a peer's own files into the cache and has the registry's client fetch the rest, once for each state of
// these files.
func install(ctx context.Context, program, what, folder string, command func() *exec.Cmd, source string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is missing: install %s, or leave this server out with -servers", program, what)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	changed := false
	files, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, file := range files {
		wanted, err := os.ReadFile(filepath.Join(source, file.Name()))
		if err != nil {
			return err
		}
		target := filepath.Join(folder, file.Name())
		if have, err := os.ReadFile(target); err == nil && string(have) == string(wanted) {
			continue
		}
		changed = true
		if err := os.WriteFile(target, wanted, 0o644); err != nil {
			return err
		}
	}
	done := filepath.Join(folder, ".installed")
	if _, err := os.Stat(done); err == nil && !changed {
		return nil
	}
	fmt.Println("installing", filepath.Base(folder))
	if output, err := command().CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w: %s", program, err, output), ctx.Err())
	}
	return os.WriteFile(done, nil, 0o644)
}
