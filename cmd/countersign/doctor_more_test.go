package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shown replaces the server's certificate by one that a change makes.
func (i *installation) shown(change func(*x509.Certificate)) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 6, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	i.selfSigned(template, key)
}

// inSQLite runs a statement on the embedded database.
func (i *installation) inSQLite(statement string) {
	i.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(i.folder, "countersign.db"))
	if err != nil {
		i.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		i.t.Fatal(err)
	}
}

// beside has the installation serve another issuer, brand.example, with the settings of the first but for what a line changes.
func (i *installation) beside(changes ...string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	other := regexp.MustCompile(`(?m)^(address|drain_time|log_format) = .*\n`).ReplaceAllString(string(text), "")
	for n := 0; n < len(changes); n += 2 {
		other = regexp.MustCompile(`(?m)`+changes[n]).ReplaceAllString(other, changes[n+1])
	}
	i.file("brand.toml", other)
	i.file("countersign.toml", string(text)+"\n[[issuers]]\nname = \"brand\"\nfile = \"brand.toml\"\n")
}

// Whether a server starts with a broken set-up.
const (
	ends   = "ends"   // it says why, and ends
	waits  = "waits"  // it serves nothing until what it misses is there
	serves = "serves" // it serves, and something is wrong all the same
)

// moreBrokenSetUps are further ways to get it wrong, with what the server does.
func moreBrokenSetUps() []struct {
	brokenSetUp
	server string
} {
	brand := []string{`^issuer = .*`, `issuer = "https://brand.example"`, `^url = .*`, `url = "https://mtls.brand.example"`}
	type broken = struct {
		brokenSetUp
		server string
	}
	add := func(server, name, want string, spoil func(t *testing.T, i *installation)) broken {
		return broken{brokenSetUp{name, spoil, want}, server}
	}
	line := func(pattern, replacement string) func(*testing.T, *installation) {
		return func(_ *testing.T, i *installation) { i.with(pattern, replacement) }
	}
	return []broken{
		add(ends, "an issuer with a slash at its end", `.*issuer = ".*/": ends with a slash; leave it out`, func(_ *testing.T, i *installation) {
			i.with(`^issuer = .*`, `issuer = "https://`+i.address+`/"`)
		}),
		add(ends, "an issuer with a query", `.*issuer = ".*": has a query or a fragment; leave it out .*`, func(_ *testing.T, i *installation) {
			i.with(`^issuer = .*`, `issuer = "https://`+i.address+`?tenant=1"`)
		}),
		add(serves, "a certificate for clients", `FAIL +tls +the certificate is not for a server \(.*serverAuth\); get one that is`, func(t *testing.T, i *installation) {
			i.shown(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}),
		add(serves, "a certificate with its name as CN alone", `FAIL +tls +the certificate is not for https://localhost:\d+; get one that names localhost`, func(t *testing.T, i *installation) {
			i.shown(func(c *x509.Certificate) { c.DNSNames = nil })
		}),
		add(serves, "a certificate that is valid only later", `FAIL +tls +the certificate is valid only from .* on; is the clock right\?`, func(t *testing.T, i *installation) {
			i.shown(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) })
		}),
		add(ends, "a key with a passphrase", `FAIL +tls .*the key is encrypted with a passphrase, .*write it without one .*`, func(t *testing.T, i *installation) {
			i.file("tls/server.key", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{0x30, 0}})))
		}),
		add(ends, "a certificate in DER", `FAIL +tls .*server.crt is DER and not PEM; convert it: openssl x509 .*`, func(t *testing.T, i *installation) {
			text, err := os.ReadFile(filepath.Join(i.folder, "tls", "server.crt"))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			i.file("tls/server.crt", string(block.Bytes))
		}),
		add(ends, "certificate and key the wrong way round", `FAIL +tls .*but did find a private key; PEM inputs may have been switched`, func(t *testing.T, i *installation) {
			for _, pair := range [][2]string{{"server.crt", "x"}, {"server.key", "server.crt"}, {"x", "server.key"}} {
				if err := os.Rename(filepath.Join(i.folder, "tls", pair[0]), filepath.Join(i.folder, "tls", pair[1])); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(i.folder, "tls", "server.key"), 0o600); err != nil {
				t.Fatal(err)
			}
		}),
		add(waits, "an empty file of the PIN", `FAIL +files +signer.pin_file: .*: empty`, func(_ *testing.T, i *installation) { i.file("hsm/pin", "") }),
		add(waits, "a PIN with a second line", `FAIL +hsm .*the PIN file .* must hold the PIN and nothing else`, func(_ *testing.T, i *installation) { i.file("hsm/pin", "12345678\nx\n") }),
		add(waits, "a module that is a text", `FAIL +hsm .*cannot be loaded; check that the file exists and is a PKCS#11 module .*`, func(_ *testing.T, i *installation) {
			i.with(`^module = .*`, `module = "`+i.file("module.so", "text")+`"`)
		}),
		add(waits, "a module without its configuration", `FAIL +hsm .*the module has no token labelled "countersign".*`, line(`^SOFTHSM2_CONF = .*`, "")),
		add(ends, "keys of another token", `FAIL +keys .*signer: key A{8}\S+: its public key has the thumbprint \S+`, func(_ *testing.T, i *installation) {
			i.inSQLite(`UPDATE keys SET id = 'AAAAAAAA' || substr(id, 9) WHERE algorithm = 'PS256'`)
		}),
		add(ends, "no key at all", `FAIL +keys .*no key is active; make one with: countersign keys generate --alg PS256 --activate`, func(_ *testing.T, i *installation) {
			i.inSQLite(`DELETE FROM keys`)
		}),
		add(ends, "a database that is a text", `FAIL +store .*file is not a database.*`, func(_ *testing.T, i *installation) {
			i.file("countersign.db", strings.Repeat("text ", 1000))
		}),
		add(ends, "a database without a schema", `FAIL +store .*the database has schema version 0 and this program needs \d+: run .countersign migrate up.`, func(t *testing.T, i *installation) {
			for _, name := range []string{"countersign.db-wal", "countersign.db-shm"} {
				if err := os.Remove(filepath.Join(i.folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			i.file("countersign.db", "")
		}),
		add(ends, "a state folder that is not there", `.*signer.state_dir = ".*none": the folder .* does not exist; make it.*`, line(`^\[signer\]`, "[signer]\nstate_dir = \"none\"")),
		add(ends, "metrics at the port of the server", `.*metrics.listen = ".*": the same as listen.address; take another port`, func(_ *testing.T, i *installation) {
			i.with(`^\[metrics\]`, "[metrics]\nlisten = \"127.0.0.1:"+strings.TrimPrefix(i.address, "localhost:")+"\"")
		}),
		add(ends, "metrics at the port for client certificates", `.*metrics.listen = ".*": the same as listen_mtls.address; take another port`, func(_ *testing.T, i *installation) {
			i.with(`^\[metrics\]`, "[metrics]\nlisten = \"localhost:"+strings.TrimPrefix(i.mtls, "localhost:")+"\"")
		}),
		add(ends, "a logo that is none", `FAIL +config .*brand.logo_file: .*logo.png: neither an SVG nor a PNG`, func(_ *testing.T, i *installation) {
			i.with(`^\[brand\]`, "[brand]\nname = \"Bank\"\nlogo_file = \""+i.file("logo.png", "text")+"\"")
		}),
		add(serves, "a collector that is not reached", `warn +metrics +telemetry.otlp_endpoint: the collector is not reached, .*connection refused; correct the address, or start it`, func(t *testing.T, i *installation) {
			i.with(`^# otlp_endpoint = ""`, `otlp_endpoint = "https://`+closed(t)+`"`)
		}),
		add(ends, "keys of pings that are none", `FAIL +ciba +ciba.ping_keys_file: .*line 1 of the keys is not 32 bytes in base64url without padding`, func(_ *testing.T, i *installation) {
			i.file("ping.keys", "text\n")
		}),
		add(ends, "authorities of what is fetched that are none", `FAIL +config .*outbound.ca_file: .* holds no certificate in PEM form`, func(_ *testing.T, i *installation) {
			i.file("tls/outbound.crt", "text\n")
		}),
		add(ends, "two issuers with one store", `FAIL +config .*issuer brand has the store of issuer main; each needs one of its own`, func(_ *testing.T, i *installation) {
			i.beside(brand...)
		}),
		add(serves, "a further issuer without its database", `FAIL +store +brand: sqlite: there is no database \S*other.db: run .countersign migrate up.`, func(_ *testing.T, i *installation) {
			i.beside(append(brand, `^file = .*`, `file = "other.db"`, `^token = .*`, `token = "other"`)...)
		}),
		add(serves, "an authority of clients that is a client", `warn +mtls +listen_mtls, client_ca_file: .* is no authority .*; name the certificate of who issued it`, func(t *testing.T, i *installation) {
			text, err := os.ReadFile(filepath.Join(i.folder, "tls", "server.crt"))
			if err != nil {
				t.Fatal(err)
			}
			i.file("tls/client-ca.crt", string(text))
		}),
		add(serves, "a chain in which who issued the certificate is not", `FAIL +tls +in listen.certificate_file CN=localhost is followed by CN=Countersign development client CA, and not by who issued it, .*`, func(t *testing.T, i *installation) {
			text, err := os.ReadFile(filepath.Join(i.folder, "tls", "server.crt"))
			if err != nil {
				t.Fatal(err)
			}
			other, err := os.ReadFile(filepath.Join(i.folder, "tls", "client-ca.crt"))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			i.file("tls/server.crt", string(pem.EncodeToMemory(block))+string(other))
			i.with(`^issuer = .*`, `issuer = "https://`+strings.Replace(i.address, "localhost", "login.invalid", 1)+`"`)
		}),
		add(ends, "a file that is no TOML", `.*not correct TOML: .*`, func(t *testing.T, i *installation) {
			text, err := os.ReadFile(i.config())
			if err != nil {
				t.Fatal(err)
			}
			i.file("countersign.toml", string(text)+"\nx = = 1\n")
		}),
	}
}

// started starts the server, and says what became of it and what it said.
func (i *installation) started() (became, said string) {
	i.t.Helper()
	logs := new(logBuffer)
	command := exec.Command("countersign", "serve", "--config", i.config())
	command.Stdout, command.Stderr = logs, logs
	if err := command.Start(); err != nil {
		i.t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- command.Wait() }()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case <-end:
			return ends, logs.String()
		case <-deadline:
			_ = command.Process.Kill() // and then it is not as it should be
			<-end
			return "hangs", logs.String()
		case <-time.After(20 * time.Millisecond):
			became = ""
			if strings.Contains(logs.String(), "not ready until") {
				became = waits
			} else if strings.Contains(logs.String(), "msg=ready") {
				became = serves
			}
			if became == "" {
				continue
			}
			_ = command.Process.Signal(syscall.SIGTERM)
			<-end
			return became, logs.String()
		}
	}
}

// Covers: NM-223. TestNM223DoctorAndServer: doctor and the server agree on each of further broken set-ups: doctor fails exactly where the
// server does not serve, or something that others see is wrong, and it has the server's words.
func TestNM223DoctorAndServer(t *testing.T) {
	base := newInstallation(t)
	t.Run("accepts one that is whole, as the server does", func(t *testing.T) {
		i := base.copied(t)
		if out, problems, code := i.command("doctor"); code != 0 {
			t.Errorf("%d\n%s%s", code, out, problems)
		}
		if became, said := i.started(); became != serves {
			t.Errorf("it %s: %s", became, said)
		}
	})
	for _, broken := range moreBrokenSetUps() {
		t.Run("refuses "+broken.name, func(t *testing.T) {
			i := base.copied(t)
			broken.spoil(t, i)
			out, problems, code := i.command("doctor")
			found := regexp.MustCompile("(?m)^" + broken.want + "$").FindString(out + problems)
			if found == "" || (code == 0) != strings.HasPrefix(found, "warn") {
				t.Errorf("doctor: %d\n%s%s", code, out, problems)
			}
			became, said := i.started()
			if became != broken.server {
				t.Errorf("the server %s, and not %s: %s", became, broken.server, said)
			}
			if became != ends {
				return
			}
			// Its last line is the reason, behind the place in the configuration.
			lines := strings.Split(strings.TrimSpace(said), "\n")
			reason := regexp.MustCompile(`^(\S+\.toml(:\d+)?: |countersign: (sqlite: )?)*`).ReplaceAllString(lines[len(lines)-1], "")
			if !strings.Contains(out+problems, reason) {
				t.Errorf("the server says %q, and doctor\n%s%s", reason, out, problems)
			}
		})
	}
	t.Run("refuses few open files", func(t *testing.T) {
		i := base.copied(t)
		output, err := exec.Command("sh", "-c", `ulimit -n 64; exec countersign doctor --config "$1"`, "sh", i.config()).CombinedOutput()
		if err != nil || !regexp.MustCompile(`(?m)^warn +limits +the limit of open files leaves 16 connections of clients; raise it .*$`).Match(output) {
			t.Errorf("%v\n%s", err, output)
		}
	})
	if os.Geteuid() != 0 { // who is not root can give files to nobody else
		return
	}
	t.Run("refuses a folder that the server's user cannot enter", func(t *testing.T) {
		i := base.copied(t)
		if output, err := exec.Command("chown", "-R", "65534:65534", i.folder).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		folder := filepath.Join(i.folder, "hsm")
		if err := os.Chown(folder, 0, 0); err != nil {
			t.Fatal(err)
		}
		out, problems, code := i.command("doctor")
		if code == 0 || !regexp.MustCompile(`(?m)^FAIL +files +signer.pin_file: the folder \S+/hsm is closed to nobody, whose the database is \(mode 0700\); run: chown nobody \S+/hsm$`).MatchString(out) {
			t.Errorf("%d\n%s%s", code, out, problems)
		}
	})
}
