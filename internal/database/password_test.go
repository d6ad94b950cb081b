package database_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/postgrestest"
	"countersign/store"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// rotating is a database whose role has to show a password.
type rotating struct {
	*testing.T
	address, folder string
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{t, cluster.Database(t), t.TempDir()}
	r.execute("CREATE ROLE rotating LOGIN SUPERUSER PASSWORD 'first'")
	t.Cleanup(func() { r.execute("ALTER ROLE rotating RENAME TO " + "r" + strings.ToLower(rand.Text())) })
	// The server itself writes the file: the rule comes first, and the others stay.
	r.execute(`CREATE TEMP TABLE hba (line text, n int GENERATED ALWAYS AS IDENTITY);
		INSERT INTO hba (line) VALUES ('local all rotating scram-sha-256');
		DO $$ BEGIN
			INSERT INTO hba (line) SELECT l FROM regexp_split_to_table(pg_read_file(current_setting('hba_file')), E'\n') l;
			EXECUTE format('COPY (SELECT line FROM hba ORDER BY n) TO %L', current_setting('hba_file'));
			PERFORM pg_reload_conf();
		END $$`)
	for range 200 { // the postmaster reads it a moment later
		other, err := pgx.Connect(t.Context(), r.as("rotating")+"&password=wrong")
		if err != nil {
			return r
		}
		_ = other.Close(t.Context())
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server asks for no password")
	return nil
}

// as is the URL for a role.
func (r *rotating) as(role string) string {
	return strings.Replace(r.address, "user=postgres", "user="+role, 1)
}

func (r *rotating) execute(statement string) {
	r.Helper()
	ctx := context.Background() // for what is cleaned up, too
	conn, err := pgx.Connect(ctx, r.address)
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		r.Fatal(err)
	}
}

// rotate changes the password, and ends the connections that are open.
func (r *rotating) rotate(password string) {
	r.Helper()
	r.execute("ALTER ROLE rotating PASSWORD '" + strings.ReplaceAll(password, "'", "''") + "'")
	r.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
}

func (r *rotating) write(name, text string, mode os.FileMode) string {
	r.Helper()
	file := filepath.Join(r.folder, name)
	if err := os.WriteFile(file+".new", []byte(text), mode); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		r.Fatal(err)
	}
	return file
}

// open migrates and opens the store of a configuration.
func (r *rotating) open(c config.Store) store.Store {
	r.Helper()
	c.Driver, c.MaxConnections = "postgres", 4
	d, err := database.New(&config.Config{Store: c}, time.Now, nil)
	if err != nil {
		r.Fatal(err)
	}
	if _, err := d.Migrate(r.Context()); err != nil {
		r.Fatal(err)
	}
	s, err := d.Open(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = s.Close() })
	return s
}

// answers waits until the store answers.
func answers(t *testing.T, s store.Store) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.Clients(t.Context())
		if err == nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal(err)
		}
	}
}

// Covers: NM-91. A password that is in a file of its own, or that a program prints, is read again for each connection; one with every
// kind of character is passed on as it is, to a URL and to a key-value string.
func TestNM91Password(t *testing.T) {
	r := newRotating(t)
	u, err := url.Parse(r.as("rotating"))
	if err != nil {
		t.Fatal(err)
	}
	pairs := fmt.Sprintf("host=%s user=rotating dbname=%s sslmode=disable", u.Query().Get("host"), strings.TrimPrefix(u.Path, "/"))
	const awkward = `a'b\c"d e&f=g?h%20i+j#kä`
	for name, address := range map[string]string{"a URL": r.as("rotating"), "a key-value string": pairs} {
		t.Run("accepts a file that changes while connections are open, for "+name, func(t *testing.T) {
			r.rotate("first")
			file := r.write("password", "first\n", 0o600)
			s := r.open(config.Store{URL: config.Secret(r.write("url", address, 0o600)), PasswordFile: config.Secret(file)})
			answers(t, s)
			for _, next := range []string{"second", awkward} {
				r.write("password", next, 0o600)
				r.rotate(next)
				answers(t, s)
			}
			r.rotate("third") // the file is late
			if _, err := s.Clients(t.Context()); !errors.Is(err, store.ErrUnavailable) || strings.Contains(fmt.Sprint(err), awkward) {
				t.Errorf("with the old password: %v", err)
			}
			r.write("password", "third", 0o600)
			answers(t, s)
		})
	}
	t.Run("accepts what a program prints, once for connections that are made at once", func(t *testing.T) {
		r.rotate("first")
		r.write("token", "first\n", 0o600)
		program := r.write("program", "#!/bin/sh\necho run >> \"$1.runs\"\nexec cat \"$1\"\n", 0o700)
		s := r.open(config.Store{
			URL: config.Secret(r.write("url", r.as("rotating"), 0o600)), PasswordCommand: program + " " + filepath.Join(r.folder, "token"),
		})
		for range 20 {
			answers(t, s)
		}
		runs, err := os.ReadFile(filepath.Join(r.folder, "token.runs"))
		if err != nil || bytes.Count(runs, []byte("\n")) > 3 {
			t.Errorf("%d runs, %v", bytes.Count(runs, []byte("\n")), err)
		}
		r.write("token", "second\n", 0o600)
		r.rotate("second")
		answers(t, s)
	})
	t.Run("refuses a program that prints nothing or too much, and a file that is empty, without repeating anything", func(t *testing.T) {
		address := config.Secret(r.write("url", r.as("rotating"), 0o600))
		for text, want := range map[string]string{
			"exit 3":                               "store.password_command: exit status 3; run it by hand",
			"true":                                 "it did not print one line",
			"printf 'secret\\nsecret\\n'":          "it did not print one line",
			"echo secret >&2; exit 1":              "exit status 1",
			"head -c 70000 /dev/zero | tr '\\0' s": "it did not print one line",
		} {
			program := r.write("bad", "#!/bin/sh\n"+text+"\n", 0o700)
			_, err := database.New(&config.Config{Store: config.Store{Driver: "postgres", URL: address, PasswordCommand: program}}, time.Now, nil)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", text, err)
			}
		}
		empty := config.Secret(r.write("empty", "\n", 0o600))
		if _, err := database.New(&config.Config{Store: config.Store{Driver: "postgres", URL: address, PasswordFile: empty}}, time.Now, nil); err == nil ||
			!strings.Contains(err.Error(), "store.password_file: ") {
			t.Error(err)
		}
	})
	t.Run("refuses to show the program the PIN of the HSM", func(t *testing.T) {
		t.Setenv("TEST_PIN", "4711")
		r.rotate("first")
		program := r.write("shows", "#!/bin/sh\nenv > "+filepath.Join(r.folder, "environment")+"\necho first\n", 0o700)
		c := &config.Config{Store: config.Store{Driver: "postgres", URL: config.Secret(r.write("url", r.as("rotating"), 0o600)), PasswordCommand: program}}
		c.Signer.PINEnv = "TEST_PIN"
		if _, err := database.New(c, time.Now, nil); err != nil {
			t.Fatal(err)
		}
		shown, err := os.ReadFile(filepath.Join(r.folder, "environment"))
		if err != nil || bytes.Contains(shown, []byte("4711")) || !bytes.Contains(shown, []byte("PATH=")) {
			t.Errorf("%v\n%s", err, shown)
		}
	})
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: rand.Text()}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	a.certificate, a.key = issue(t, template, nil)
	return a
}

// issue signs a certificate, by itself without an authority.
func issue(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// frontDoor takes connections by TLS for PostgreSQL, as a database does, and passes them on to a socket. It counts those whose client
// has a certificate of an authority, and refuses others.
type frontDoor struct {
	net.Listener
	trusted  atomic.Pointer[x509.CertPool]
	admitted atomic.Int64
}

func (d *frontDoor) serve(t *testing.T, shown tls.Certificate, socket string) {
	for {
		plain, err := d.Accept()
		if err != nil {
			return
		}
		go func() {
			defer plain.Close()
			wish := make([]byte, 8) // SSLRequest (PostgreSQL, Message Formats)
			if _, err := io.ReadFull(plain, wish); err != nil || !bytes.Equal(wish, []byte{0, 0, 0, 8, 4, 210, 22, 47}) {
				return // such as a request to cancel
			}
			if _, err := plain.Write([]byte("S")); err != nil {
				return
			}
			outer := tls.Server(plain, &tls.Config{Certificates: []tls.Certificate{shown}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: d.trusted.Load()})
			if err := outer.Handshake(); err != nil {
				return
			}
			inner, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer inner.Close()
			d.admitted.Add(1)
			go func() {
				_, _ = io.Copy(inner, outer) // it ends with the connection
				inner.Close()
			}()
			_, _ = io.Copy(outer, bufio.NewReader(inner)) // it ends with the connection
		}()
	}
}

// Covers: NM-92. The certificate that is shown to the database, and its key, are read again for each connection.
func TestNM92Certificate(t *testing.T) {
	r := &rotating{t, cluster.Database(t), t.TempDir()}
	u, err := url.Parse(r.address)
	if err != nil {
		t.Fatal(err)
	}
	door, first, second := newAuthority(t), newAuthority(t), newAuthority(t)
	leaf, key := issue(t, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}, door)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	front := &frontDoor{Listener: inner}
	trust := func(a *authority) {
		pool := x509.NewCertPool()
		pool.AddCert(a.certificate)
		front.trusted.Store(pool)
	}
	trust(first)
	go front.serve(t, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"))
	write := func(a *authority) {
		t.Helper()
		certificate, key := issue(t, &x509.Certificate{
			SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, a)
		encoded, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		r.write("client.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})), 0o600)
		r.write("client.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), 0o600)
	}
	write(first)
	root := r.write("root.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: door.certificate.Raw})), 0o600)
	_, port, err := net.SplitHostPort(inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{
		"sslmode": {"verify-full"}, "sslrootcert": {root}, "sslcert": {filepath.Join(r.folder, "client.crt")}, "sslkey": {filepath.Join(r.folder, "client.key")},
	}
	s := r.open(config.Store{URL: config.Secret(r.write("url", "postgres://postgres@localhost:"+port+u.Path+"?"+query.Encode(), 0o600))})
	end := func() {
		t.Helper()
		r.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
	t.Run("accepts the certificate that is there", func(t *testing.T) {
		answers(t, s)
		if front.admitted.Load() == 0 {
			t.Error("it went another way")
		}
	})
	t.Run("refuses to be known by one that the database does not trust any more", func(t *testing.T) {
		trust(second)
		end()
		if _, err := s.Clients(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("accepts the next, when it is written", func(t *testing.T) {
		write(second)
		answers(t, s)
	})
}
