// Command claims-source is the least that an operator's API for claims about users has to do (docs/claims-source.md,
// docs/api/claims-source-v1.yaml): it demands a client certificate of an authority and of a name, and answers what it is asked
// for about one user. It needs nothing but the standard library; the users are in a JSON file, by their subjects:
//
//	{"5b1f6f6e": {"name": "Alice Example", "email": "alice@example.com", "accounts": [
//	  {"type": "account_access", "value": {"iban": "DE02100100109307118603"}, "name": "Everyday"}]}, "9c0e": {"active": false}}
//
// Run it with:
//
//	claims-source -certificate server.crt -key server.key -client-ca countersign-ca.crt -client countersign -users users.json
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "claims-source:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and writes its address to out.
func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("claims-source", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8444", "`address` to listen on")
	certificate := flags.String("certificate", "", "`file` with the certificate of this server")
	key := flags.String("key", "", "`file` with its private key")
	authority := flags.String("client-ca", "", "`file` with the authority of Countersign's certificate")
	client := flags.String("client", "", "`name` in that certificate: its subjectAltName or, without one, its common name")
	file := flags.String("users", "", "`file` with the users, JSON")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *client == "" {
		return errors.New("-client is missing: the authority may have issued certificates to others")
	}
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		return err
	}
	encoded, err := os.ReadFile(*authority)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(encoded) {
		return fmt.Errorf("%s holds no certificate", *authority)
	}
	known, err := readUsers(*file)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           &source{client: *client, users: known},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close() // questions can be asked again
	}()
	fmt.Fprintf(out, "https://%s\n", listener.Addr())
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// users are the claims about each user, by subject.
type users map[string]map[string]json.RawMessage

func readUsers(name string) (users, error) {
	encoded, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var read users
	if err := json.Unmarshal(encoded, &read); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return read, nil
}

// source answers questions.
type source struct {
	client string
	users  users
}

// question has the members of a question that are used here; others may come.
type question struct {
	Subject string   `json:"subject"`
	Client  string   `json:"client_id"`
	Claims  []string `json:"claims"`
	// Accounts are the types of authorization_details for which the user's accounts are wanted; none is the usual question.
	Accounts []string `json:"accounts_for"`
}

// maxQuestion bounds a question, in bytes.
const maxQuestion = 64 << 10

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.isClient(r.TLS.PeerCertificates[0]) {
		refuse(w, http.StatusForbidden, "the certificate is of another name")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "questions are posted")
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "a question is application/json")
		return
	}
	var asked question
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&asked); err != nil || asked.Subject == "" {
		refuse(w, http.StatusBadRequest, "the question cannot be read")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private")     // what Countersign keeps is its configuration's to say
	_ = json.NewEncoder(w).Encode(s.answer(asked)) // whoever asked may have left
}

// refuse answers with a status. Countersign does not read why; people do.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, why+"\n")
}

// isClient reports whether a certificate, which is of the authority, is the one of Countersign.
func (s *source) isClient(certificate *x509.Certificate) bool {
	if len(certificate.DNSNames) > 0 {
		return slices.Contains(certificate.DNSNames, s.client)
	}
	return certificate.Subject.CommonName == s.client
}

// answer has the subject, whether the user is active, and what was asked for. Here an operator would look at the client too,
// and read from a database: an error there is a 503, never an answer without claims.
func (s *source) answer(asked question) map[string]any {
	about := map[string]any{"sub": asked.Subject, "active": true}
	known, found := s.users[asked.Subject]
	if !found || string(known["active"]) == "false" {
		about["active"] = false
		return about
	}
	for _, name := range asked.Claims {
		if value, has := known[name]; has {
			about[name] = value
		}
	}
	if len(asked.Accounts) > 0 {
		about["accounts"] = json.RawMessage("[]")
		if accounts, has := known["accounts"]; has {
			about["accounts"] = accounts
		}
	}
	return about
}
