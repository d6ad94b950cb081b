// Command consent-source is the least that a bank's own consent system has to do (docs/consent-apis.md, docs/api/consents-v1.yaml): it
// demands a client certificate of an authority and of a name, and reads, binds, decides and ends consents. It needs nothing but the
// standard library and keeps what changes in memory; the consents are in a JSON file, a list of them:
//
//	[{"id": "c-1", "client_id": "app", "kind": "uk-accounts", "status": "awaiting", "version": 1,
//	  "shown": {"type": "uk-accounts", "Permissions": ["ReadAccountsBasic"]},
//	  "created_at": "2026-11-30T12:00:00Z", "changed_at": "2026-11-30T12:00:00Z", "expires_at": "2099-01-01T00:00:00Z"}]
//
// Run it with:
//
//	consent-source -certificate server.crt -key server.key -client-ca countersign-ca.crt -client countersign -consents consents.json
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
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "consent-source:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and writes its address to out.
func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("consent-source", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8445", "`address` to listen on")
	certificate := flags.String("certificate", "", "`file` with the certificate of this server")
	key := flags.String("key", "", "`file` with its private key")
	authority := flags.String("client-ca", "", "`file` with the authority of Countersign's certificate")
	client := flags.String("client", "", "`name` in that certificate: its subjectAltName or, without one, its common name")
	file := flags.String("consents", "", "`file` with the consents, JSON")
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
	known, err := readConsents(*file)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           &source{client: *client, consents: known, now: time.Now},
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

// record is one consent. What it has of the contract beside these members is kept as it is.
type record struct {
	ID        string `json:"id"`
	ClientID  string `json:"client_id"`
	Kind      string `json:"kind"`
	Status    string `json:"status"`
	Version   int    `json:"version"`
	Once      bool   `json:"once,omitempty"`
	CreatedAt string `json:"created_at"`
	ChangedAt string `json:"changed_at"`
	ExpiresAt string `json:"expires_at"`
	EndsAt    string `json:"ends_at,omitempty"`

	Shown       json.RawMessage   `json:"shown"`
	Permissions []string          `json:"permissions,omitempty"`
	Scopes      []string          `json:"scopes,omitempty"`
	Hints       map[string]string `json:"hints,omitempty"`

	Subject     string `json:"subject,omitempty"`
	GrantID     string `json:"grant_id,omitempty"`
	Interaction string `json:"interaction,omitempty"`
	EndedBy     string `json:"ended_by,omitempty"`
	Reason      string `json:"reason,omitempty"`

	// before is the consent before the last decision; nil when there was none, or when the consent has ended since.
	before *record
}

func readConsents(name string) (map[string]*record, error) {
	encoded, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []*record
	if err := json.Unmarshal(encoded, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	known := map[string]*record{}
	for _, each := range list {
		known[each.ID] = each
	}
	return known, nil
}

// source answers questions.
type source struct {
	client string
	now    func() time.Time

	mu       sync.Mutex
	consents map[string]*record
}

// question has the members of a question that are used here; others may come.
type question struct {
	ConsentID   string `json:"consent_id"`
	ClientID    string `json:"client_id"`
	Interaction string `json:"interaction"`
	Version     int    `json:"version"`
	Subject     string `json:"subject"`
	Allowed     bool   `json:"allowed"`
	GrantID     string `json:"grant_id"`
	By          string `json:"by"`
	Reason      string `json:"reason"`
}

type answer struct {
	Outcome string  `json:"outcome"`
	Consent *record `json:"consent,omitempty"`
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
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&asked); err != nil || asked.ConsentID == "" {
		refuse(w, http.StatusBadRequest, "the question cannot be read")
		return
	}
	operation := map[string]func(*record, question) bool{
		"read": func(*record, question) bool { return true }, "bind": s.bind, "decide": s.decide, "undo": s.undo, "revoke": s.revoke,
	}[strings.TrimPrefix(r.URL.Path, "/")]
	if operation == nil {
		refuse(w, http.StatusNotFound, "there is no such operation")
		return
	}
	s.mu.Lock()
	given := s.answer(asked, operation)
	encoded, err := json.Marshal(given)
	s.mu.Unlock()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the answer cannot be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encoded) // whoever asked may have left
}

// isClient reports whether a certificate is Countersign's.
func (s *source) isClient(certificate *x509.Certificate) bool {
	if len(certificate.DNSNames) > 0 {
		return slices.Contains(certificate.DNSNames, s.client)
	}
	return certificate.Subject.CommonName == s.client
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, why+"\n") // whoever asked may have left
}

// answer does an operation with the consent that is asked about.
func (s *source) answer(asked question, operation func(*record, question) bool) answer {
	one := s.consents[asked.ConsentID]
	if one == nil || asked.ClientID != "" && one.ClientID != asked.ClientID {
		return answer{Outcome: "not_found"}
	}
	s.expire(one)
	if !operation(one, asked) {
		return answer{Outcome: "state", Consent: one}
	}
	return answer{Outcome: "ok", Consent: one}
}

// expire ends a consent whose time is over.
func (s *source) expire(one *record) {
	until := map[string]string{"awaiting": one.ExpiresAt, "authorised": one.EndsAt}[one.Status]
	if at, err := time.Parse(time.RFC3339, until); err == nil && !s.now().Before(at) {
		one.EndedBy, one.before = "time", nil
		s.become(one, "expired")
	}
}

func (s *source) become(one *record, status string) {
	one.Status, one.ChangedAt = status, s.now().UTC().Format(time.RFC3339)
	one.Version++
}

func (s *source) bind(one *record, asked question) bool {
	again := one.Status == "authorised" && !one.Once && (asked.Subject == "" || asked.Subject == one.Subject)
	if one.Status != "awaiting" && !again {
		return false
	}
	one.Interaction = asked.Interaction
	return true
}

func (s *source) decide(one *record, asked question) bool {
	if asked.Allowed && one.Status == "authorised" && one.GrantID == asked.GrantID {
		return true // the same decision again
	}
	if !asked.Allowed && one.Status == "rejected" && one.Interaction == asked.Interaction {
		return true
	}
	if one.Interaction != asked.Interaction || one.Version != asked.Version || !s.bind(one, asked) {
		return false
	}
	before := *one
	before.before = nil // one decision can be taken back
	one.before = &before
	if !asked.Allowed {
		if one.Status == "authorised" {
			return true // it stays as it was
		}
		one.EndedBy = "user"
		s.become(one, "rejected")
		return true
	}
	one.Subject, one.GrantID = asked.Subject, asked.GrantID
	s.become(one, "authorised")
	return true
}

func (s *source) undo(one *record, asked question) bool {
	if one.before == nil || one.GrantID != asked.GrantID {
		return false
	}
	version := one.Version
	*one = *one.before
	one.Version = version + 1
	return true
}

func (s *source) revoke(one *record, asked question) bool {
	if one.Status != "awaiting" && one.Status != "authorised" && one.Status != "consumed" || asked.Subject != "" && asked.Subject != one.Subject {
		return false
	}
	ended := "revoked"
	if one.Status == "awaiting" {
		ended = "rejected"
	}
	one.EndedBy, one.Reason, one.before = asked.By, asked.Reason, nil
	s.become(one, ended)
	return true
}
