package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/buildinfo"
	"countersign/internal/config"
	"countersign/internal/doctor"
	"countersign/internal/postgrestest"
)

// copied is the installation in another folder, to be broken.
func (i *installation) copied(t *testing.T) *installation {
	t.Helper()
	other := *i
	other.t, other.folder = t, filepath.Join(t.TempDir(), "local")
	if output, err := exec.Command("cp", "-a", i.folder, other.folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return &other
}

// with changes the configuration.
func (i *installation) with(pattern, replacement string) {
	i.t.Helper()
	i.edited(i.t, pattern, strings.ReplaceAll(replacement, "$", "$$"))
}

// file writes a file of the installation, for its owner alone.
func (i *installation) file(name, content string) string {
	i.t.Helper()
	full := filepath.Join(i.folder, name)
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return full
}

// certificate replaces the server's by one for a name and a time.
func (i *installation) certificate(name string, until time.Time) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	i.selfSigned(template, key)
}

// selfSigned replaces the server's certificate by one that its key has signed.
func (i *installation) selfSigned(template *x509.Certificate, key crypto.Signer) {
	i.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		i.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	i.file("tls/server.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	i.file("tls/server.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// taken is an address that somebody listens on.
func taken(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // at the end
	return listener.Addr().String()
}

// closed is an address that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + ports[0]
}

// onOwnDatabase has the installation use a PostgreSQL database, and returns its address.
func (i *installation) onOwnDatabase(migrated bool) string {
	i.t.Helper()
	address := i.onPostgres()
	if _, problems, code := i.command("migrate", "up"); migrated && code != 0 {
		i.t.Fatal(problems)
	}
	return address
}

// inDatabase runs a statement.
func inDatabase(t *testing.T, address, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// brokenSetUp is a way in which an installation is broken, and how doctor names it: a whole line.
type brokenSetUp struct {
	name  string
	spoil func(t *testing.T, i *installation)
	want  string
}

// brokenSetUps are what an operator gets wrong, and what goes wrong.
func brokenSetUps() []brokenSetUp {
	return []brokenSetUp{
		{"a wrong PIN", func(_ *testing.T, i *installation) { i.file("hsm/pin", "47114711\n") },
			`FAIL +hsm .*the token refuses the PIN \(CKR_PIN_INCORRECT\); it was sent once.*`},
		{"a token label that no token has", func(_ *testing.T, i *installation) { i.with(`^token = .*`, `token = "elsewhere"`) },
			`FAIL +hsm .*elsewhere.*`},
		{"a module that is not there", func(_ *testing.T, i *installation) { i.with(`^module = .*`, `module = "/usr/lib/absent.so"`) },
			`.*signer.module = "/usr/lib/absent.so": .*no such file.*`},
		{"no key of the algorithm of access tokens", func(t *testing.T, i *installation) {
			i.with(`^# access_token_algorithm = .*`, `access_token_algorithm = "EdDSA"`)
			db, err := sql.Open("sqlite3", filepath.Join(i.folder, "countersign.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`UPDATE keys SET state = 'retiring' WHERE algorithm = 'EdDSA'`); err != nil {
				t.Fatal(err)
			}
		}, `FAIL +keys +tokens.access_token_algorithm: .*EdDSA.*countersign keys generate.*`},
		{"PostgreSQL that is not reached", func(t *testing.T, i *installation) {
			i.onOwnDatabase(false)
			i.file("store-url", "postgres://countersign:secret-4711@"+closed(t)+"/countersign?sslmode=disable\n")
		}, `FAIL +store .*connection refused.*; correct host and port in store.url_file, or start the database`},
		{"a wrong password of PostgreSQL", func(t *testing.T, i *installation) {
			address := i.onOwnDatabase(true)
			inDatabase(t, address, `DO $$ BEGIN CREATE ROLE doctored LOGIN PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
			postgrestest.RequirePassword(t, address, "doctored")
			i.file("store-url", strings.Replace(address, "user=postgres", "user=doctored&password=secret-4711", 1)+"\n")
		}, `FAIL +store .*password authentication failed for user "doctored".*; correct user and password in store.url_file`},
		{"a schema that is too old", func(_ *testing.T, i *installation) {
			i.onPostgres()
		}, `FAIL +store .*the database has schema version 0 and this program needs \d+: run .countersign migrate up.*`},
		{"a schema that is too new", func(t *testing.T, i *installation) {
			inDatabase(t, i.onOwnDatabase(true), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
		}, `FAIL +store .*schema version 99999, which is newer than this program .*run the release of countersign that migrated it, or a later one`},
		{"a certificate that has ended", func(_ *testing.T, i *installation) { i.certificate("localhost", time.Now().Add(-time.Hour)) },
			`FAIL +tls +the certificate ended on \d{4}-\d\d-\d\d; get a new one`},
		{"a certificate that is not for the issuer", func(_ *testing.T, i *installation) { i.certificate("other.example", time.Now().AddDate(0, 6, 0)) },
			`FAIL +tls +the certificate is not for https://localhost:\d+; get one that names localhost`},
		{"a key of another certificate", func(t *testing.T, i *installation) {
			text, err := os.ReadFile(filepath.Join(i.folder, "tls", "client-ca.key"))
			if err != nil {
				t.Fatal(err)
			}
			i.file("tls/server.key", string(text))
		}, `FAIL +tls +listen.certificate_file and listen.key_file: .*private key does not match public key`},
		{"an empty file of authorities", func(_ *testing.T, i *installation) { i.file("tls/client-ca.crt", "") },
			`FAIL +mtls +listen_mtls, client_ca_file: .*client-ca.crt holds no certificate in PEM form`},
		{"an ingress secret that is too short", func(_ *testing.T, i *installation) {
			i.with(`^# source = "direct"`, "source = \"nginx\"\ningress_networks = \"127.0.0.0/8\"\ningress_secret_file = \""+i.file("secret", "short\n")+"\"")
		}, `FAIL +config .*listen_mtls.ingress_secret_file.*43.*`},
		{"an ingress without any proof", func(_ *testing.T, i *installation) { i.with(`^# source = "direct"`, `source = "nginx"`) },
			`.*listen_mtls.source = "nginx": an ingress has to prove itself before its headers are read: .*`},
		{"a port that is taken", func(t *testing.T, i *installation) {
			i.with(`^address = "127.0.0.1:\d+"\n# TLS`, "address = \""+taken(t)+"\"\n# TLS")
		},
			`FAIL +port +port: another program uses 127.0.0.1:\d+; end it, or choose another port in the configuration`},
		{"a port of metrics that is taken", func(t *testing.T, i *installation) { i.with(`^\[metrics\]`, "[metrics]\nlisten = \""+taken(t)+"\"") },
			`FAIL +port +metrics.listen: another program uses 127.0.0.1:\d+; end it, or choose another port in the configuration`},
		{"metrics for the network without TLS", func(_ *testing.T, i *installation) { i.with(`^\[metrics\]`, "[metrics]\nlisten = \"0.0.0.0:9464\"") },
			`.*metrics\.certificate_file.*`},
		{"an issuer that is not reached", func(t *testing.T, i *installation) {
			port := strings.TrimPrefix(i.address, "localhost:")
			i.certificate("login.invalid", time.Now().AddDate(0, 6, 0))
			i.with(`^issuer = .*`, `issuer = "https://login.invalid:`+port+`"`)
			i.with(`(?s)^\[listen_mtls\].*?^\[store\]`, "[listen_mtls]\n[store]")
			i.with(`^profiles = .*`, `profiles = "fapi2-security fapi2-message-signing"`)
			server := i.serve()
			t.Cleanup(func() {
				server.signal(syscall.SIGTERM)
				server.wait()
			})
		}, `FAIL +issuer +https://login.invalid:\d+ is not reached as clients reach it: .*; correct the DNS name, the port or what is in front of the server`},
		{"a directory that is not reached", func(t *testing.T, i *installation) {
			address := "https://" + closed(t)
			i.with(`^profiles = .*`, `profiles = "fapi2-security brazil-openfinance"`)
			i.with(`^# access_token_lifetime = .*`, `access_token_lifetime = "10m"`)
			i.with(`^\[\[scopes\]\]`, fmt.Sprintf("[[directories]]\nname = \"participants\"\nkind = \"brazil\"\nissuer = \"Example directory\"\nprofile = \"brazil-openfinance\"\n"+
				"keys_address = %q\nparticipants_address = %q\nnetworks = \"127.0.0.0/8\"\ncertificate_file = \"tls/server.crt\"\nkey_file = \"tls/server.key\"\n\n[[scopes]]",
				address+"/keys", address+"/list"))
		}, `FAIL +directories +participants: keys_address: .*`},
		{"a consent source that is not reached", func(t *testing.T, i *installation) {
			i.with(`^# source = ""\n# Certificate, PEM, that is shown`, "source = \"https://"+closed(t)+"\"\nsource_networks = \"127.0.0.0/8\"\n"+
				"source_certificate_file = \"tls/server.crt\"\nsource_key_file = \"tls/server.key\"\n# Certificate, PEM, that is shown")
		}, `FAIL +consents +consents.source: .*`},
		{"a claims source that is not reached", func(t *testing.T, i *installation) {
			i.with(`^\[claims_source\]`, "[claims_source]\naddress = \"https://"+closed(t)+"/claims\"\nnetworks = \"127.0.0.0/8\"\nclaims = \"name email\"\n"+
				"certificate_file = \"tls/server.crt\"\nkey_file = \"tls/server.key\"")
		}, `FAIL +claims +claims_source.address: .*; correct the address or have it answered .*`},
		{"a login that is not https", func(_ *testing.T, i *installation) {
			i.with(`^\[login\]`, "[login]\naddress = \"http://login.example/in\"\nacr_values = \"urn:x\"\nclient_id = \"demo-dpop\"")
		}, `.*login.address = "http://login.example/in": .*https.*`},
		{"a database that others can read", func(t *testing.T, i *installation) {
			if err := os.Chmod(filepath.Join(i.folder, "countersign.db"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, `FAIL +files +store.file: .* is open to others \(mode 0644\); run: chmod 600 .*`},
		{"a secret that everybody can read", func(t *testing.T, i *installation) {
			if err := os.Chmod(filepath.Join(i.folder, "hsm", "pin"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, `.*signer.pin_file = .*every user of this machine may open the file.*`},
		{"a database that is not there", func(t *testing.T, i *installation) {
			if err := os.Remove(filepath.Join(i.folder, "countersign.db")); err != nil {
				t.Fatal(err)
			}
		}, `FAIL +files +store.file: there is no .*; run: countersign migrate up`},
		{"a token whose file an interruption left empty", func(t *testing.T, i *installation) {
			tokens := filepath.Join(i.folder, "hsm", "tokens")
			i.file("hsm/softhsm2.conf", "directories.tokendir = "+tokens+"\nobjectstore.backend = file\n")
			files, err := filepath.Glob(filepath.Join(tokens, "*", "token.object"))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			if err := os.Truncate(files[0], 0); err != nil {
				t.Fatal(err)
			}
		}, `FAIL +hsm .*token.object is empty: SoftHSM2 was interrupted while it wrote; put this file back from a backup.*`},
		{"a collector that is reached in plain text", func(_ *testing.T, i *installation) {
			i.with(`^# otlp_endpoint = ""`, `otlp_endpoint = "http://collector.example:4318"`)
		}, `.*telemetry.otlp_endpoint = "http://collector.example:4318": not https.*`},
		{"a trust store without its file", func(_ *testing.T, i *installation) {
			i.with(`^\[\[scopes\]\]`, "[[trust_stores]]\nname = \"bank\"\nclient_ca_file = \"tls/absent.crt\"\n\n[[scopes]]")
		}, `.*trust_stores\[0\].client_ca_file = ".*/tls/absent.crt": there is no such file`},
		{"a key that is misspelt", func(_ *testing.T, i *installation) { i.with(`^profiles = `, `profile = `) },
			`.*profile.*did you mean profiles.*`},
	}
}

// TestNM145BrokenSetUps: doctor finds each of thirty broken set-ups and names it in one line, with what to change, and its exit code is
// not 0; no secret is in what it says.
// Covers: NM-145.
func TestNM145BrokenSetUps(t *testing.T) {
	base := newInstallation(t)
	t.Run("accepts one that is whole", func(t *testing.T) {
		if out, problems, code := base.copied(t).command("doctor"); code != 0 || strings.Contains(out, "FAIL") {
			t.Errorf("%d\n%s%s", code, out, problems)
		}
	})
	for _, broken := range brokenSetUps() {
		t.Run("refuses "+broken.name, func(t *testing.T) {
			i := base.copied(t)
			broken.spoil(t, i)
			out, problems, code := i.command("doctor")
			if code == 0 || !regexp.MustCompile("(?m)^"+broken.want+"$").MatchString(out+problems) {
				t.Errorf("%d\n%s%s", code, out, problems)
			}
			if strings.Contains(out+problems, "4711") || strings.Contains(out+problems, "panic") {
				t.Errorf("it says too much:\n%s%s", out, problems)
			}
		})
	}
	t.Run("refuses a clock that is not the database's", func(t *testing.T) {
		i := base.copied(t)
		i.onOwnDatabase(true)
		c, err := config.Load(i.config())
		if err != nil {
			t.Fatal(err)
		}
		lines := findings(t, c, func() time.Time { return time.Now().Add(time.Minute) })
		if !regexp.MustCompile(`(?m)^FAIL store the clock of this machine is [\d.ms]+ ahead of the database's; set both by NTP\.`).MatchString(lines) {
			t.Error(lines)
		}
	})
	if os.Geteuid() != 0 { // who is not root can give files to nobody else
		return
	}
	for name, disk := range map[string]struct{ spoil, want string }{
		"a full disk":                   {`{ dd if=/dev/zero of="$1/ballast" bs=4k 2>/dev/null; true; }`, `FAIL +store .*no space left on device.*; free space on the disk of store.file`},
		"a disk that cannot be written": {`mount -o remount,ro "$1"`, `FAIL +store .*read-only file system; mount its disk for writing, or move store.file`},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			script := `mount -t tmpfs -o size=16m none "$1" && cp -a "$2/." "$1/" && ` + disk.spoil + ` && exec countersign doctor --config "$1/countersign.toml"`
			// The disk is this command's alone, and goes with it.
			command := exec.Command("unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script, "sh", t.TempDir(), base.folder)
			output, err := command.CombinedOutput()
			if err == nil || !regexp.MustCompile("(?m)^"+disk.want+"$").Match(output) {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
	t.Run("refuses a secret of another user", func(t *testing.T) {
		i := base.copied(t)
		if err := os.Chown(filepath.Join(i.folder, "countersign.db"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		out, problems, code := i.command("doctor")
		if code == 0 || !regexp.MustCompile(`(?m)^FAIL +files +signer.pin_file: \S+ belongs to root, and the database to nobody, who cannot read it; run: chown nobody \S+$`).MatchString(out) {
			t.Errorf("%d\n%s%s", code, out, problems)
		}
	})
}

// findings are those of a doctor with another clock.
func findings(t *testing.T, c *config.Config, now func() time.Time) string {
	t.Helper()
	d := doctor.New(doctor.Options{Config: c, File: "test.toml", Build: buildinfo.Info{Version: "test", Cgo: true}, Now: now})
	defer d.Close()
	var all strings.Builder
	if _, err := doctor.Run(t.Context(), d.Checks(), func(f doctor.Finding) {
		all.WriteString(string(f.Outcome) + " " + f.Topic + " " + f.Text + "\n")
	}); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
