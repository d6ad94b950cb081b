package servers

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
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// NodeOIDCProvider starts node-oidc-provider with its own in-memory adapter and FAPI 2.0 settings, and with what else is
// set in its environment.
func (l *Lab) NodeOIDCProvider(ctx context.Context, s *Server, environment ...string) error {
	installed := filepath.Join(l.Cache, "node")
	if err := install(ctx, "npm", "node.js and npm", installed, func() *exec.Cmd {
		command := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		command.Dir = installed
		return command
	}, filepath.Join(l.Peers, "node")); err != nil {
		return err
	}
	own, err := l.peerOnPort(s, "node-"+s.Alg, "/request", "/auth", "/token", "/jwks")
	if err != nil {
		return err
	}
	command := exec.Command("node", "server.mjs")
	command.Dir = installed
	command.Env = slices.Concat(own, []string{"NODE_ENV=production"}, environment)
	return l.launch(ctx, s, "node-"+s.Alg, command)
}

// Floor starts a program as the floor server: its argument says so, and the environment says the rest, as for a peer, with
// what else is set.
func (l *Lab) Floor(ctx context.Context, s *Server, program, argument string, environment ...string) error {
	name := strings.ReplaceAll(s.Name, " ", "-")
	own, err := l.peerOnPort(s, name, "/par", "/authorize", "/token", "/jwks")
	if err != nil {
		return err
	}
	command := exec.Command(program, argument)
	command.Env = slices.Concat(own, environment)
	return l.launch(ctx, s, name, command)
}

// Keycloak starts Keycloak in its production mode with its own embedded database, and one realm.
func (l *Lab) Keycloak(ctx context.Context, s *Server) error {
	installed := filepath.Join(l.Cache, "keycloak")
	absolute, err := filepath.Abs(installed)
	if err != nil {
		return err
	}
	if err := install(ctx, "mvn", "Maven and a JDK of 21 or later", installed, func() *exec.Cmd {
		command := exec.CommandContext(ctx, "mvn", "-q", "-B", "package")
		command.Dir = installed
		return command
	}, filepath.Join(l.Peers, "keycloak")); err != nil {
		return err
	}
	homes, err := filepath.Glob(filepath.Join(absolute, "target", "keycloak-*", "bin", "kc.sh"))
	if err != nil || len(homes) != 1 {
		return errors.Join(err, fmt.Errorf("there should be one Keycloak below %s, not %d", absolute, len(homes)))
	}
	folder, err := l.peer(s, "keycloak")
	if err != nil {
		return err
	}
	if err := l.realm(s, folder, installed); err != nil {
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
	port, err := freePort()
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("https://localhost:%d/realms/bench", port)
	management, err := freePort()
	if err != nil {
		return err
	}
	connect := "/protocol/openid-connect"
	s.Issuer, s.Password = issuer, peerPassword
	s.Endpoints = endpoints(issuer, connect+"/ext/par/request", connect+"/auth", connect+"/token", connect+"/certs")
	s.Fill, s.AnyRedirect, s.WarmLonger = keycloakPages, true, 3
	command := exec.Command(homes[0], "start", "--import-realm", fmt.Sprintf("--hostname=https://localhost:%d", port),
		fmt.Sprint("--https-port=", port), fmt.Sprint("--http-management-port=", management), "--http-host=127.0.0.1",
		"--https-certificate-file="+filepath.Join(folder, "tls.crt"), "--https-certificate-key-file="+filepath.Join(folder, "tls.key"),
		"--db=dev-file", "--features=dpop", "--cache=local")
	return l.launch(ctx, s, "keycloak", command)
}

// keycloakPages signs in; the realm's client asks for no consent.
func keycloakPages(page flowclient.Page) (flowclient.Form, error) {
	forms, err := page.Forms()
	if err != nil {
		return flowclient.Form{}, err
	}
	for _, form := range forms {
		if form.Inputs["password"] {
			form.Values = url.Values{"username": {Username}, "password": {peerPassword}, "credentialId": {""}}
			return form, nil
		}
	}
	return flowclient.Form{}, fmt.Errorf("no sign-in form on the page %s: %s", page.Address, page.Body)
}

// peerPassword signs the one user of a throw-away server in.
const peerPassword = "correct horse battery staple"

// realm writes Keycloak's realm with the client's key in it.
func (l *Lab) realm(s *Server, folder, installed string) error {
	template, err := os.ReadFile(filepath.Join(installed, "realm.json"))
	if err != nil {
		return err
	}
	keys, err := json.Marshal(fmt.Sprintf(`{"keys":[%s]}`, s.Key.PublicJWK()))
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
func (l *Lab) peer(s *Server, name string) (folder string, err error) {
	if folder, err = filepath.Abs(filepath.Join(l.Folder, name)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if s.Key, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "client.jwk"), s.Key.PublicJWK(), 0o600); err != nil {
		return "", err
	}
	if err := certificate(folder); err != nil {
		return "", err
	}
	return folder, s.trust(filepath.Join(folder, "tls.crt"))
}

// peerOnPort makes what a peer needs that learns from its environment where it is: that environment. The paths are those of
// its endpoints.
func (l *Lab) peerOnPort(s *Server, name, par, authorize, token, jwks string) (environment []string, err error) {
	folder, err := l.peer(s, name)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	issuer := fmt.Sprintf("https://localhost:%d", port)
	s.Issuer, s.Endpoints, s.Password = issuer, endpoints(issuer, par, authorize, token, jwks), peerPassword
	return append(os.Environ(), "ISSUER="+issuer, fmt.Sprint("PORT=", port), "FOLDER="+folder, "ALG="+s.Alg), nil
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

// launch starts a peer's program, and waits until discovery answers.
func (l *Lab) launch(ctx context.Context, s *Server, name string, command *exec.Cmd) error {
	started, err := Run(command, filepath.Join(l.Folder, name+".log"))
	if err != nil {
		return err
	}
	s.onClose(func() { started.End(syscall.SIGTERM) })
	s.serves(started.ID)
	through := s.Transport()
	defer through.CloseIdleConnections()
	return started.Await(ctx, 200*time.Millisecond, 5*time.Minute, func(ctx context.Context) bool {
		return answers(ctx, through, s.Issuer+"/.well-known/openid-configuration")
	})
}
