package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/store"
)

// ceremonyType is the typ of a transcript's signature.
const ceremonyType = "countersign-ceremony+jwt"

// ceremonyFlags are those of every command that changes a key.
type ceremonyFlags struct {
	DryRun     bool     `help:"Say what would be done, and do nothing."`
	Operator   []string `help:"Who does it, for the transcript; give it once for each person."`
	Transcript string   `type:"path" placeholder:"FILE" help:"Write what was done into a new file, as JSON that the key itself has signed, or for a key that decrypts another one in the HSM."`
}

// statement is what a transcript says.
type statement struct {
	Command   string              `json:"command"`
	At        string              `json:"at"`
	Host      string              `json:"host"`
	Program   string              `json:"program"`
	Operators []string            `json:"operators"`
	Token     string              `json:"token"`
	KID       string              `json:"kid"`
	Algorithm string              `json:"alg"`
	Uses      []string            `json:"uses"`
	Addresses []string            `json:"addresses"`
	Public    json.RawMessage     `json:"public"`
	Before    string              `json:"before"`
	After     string              `json:"after"`
	Attested  *pkcs11.Attestation `json:"attested,omitempty"`
	// SignedBy and SignerPublic are the key that signed a transcript about one that cannot sign.
	SignedBy     string          `json:"signed_by,omitempty"`
	SignerPublic json.RawMessage `json:"signer_public,omitempty"`
}

// signature says whose the signature is.
func (s statement) signature() string {
	if s.SignedBy != "" {
		return "the key " + s.SignedBy
	}
	return "that key"
}

// transcript is a file: the statement to be read, and the same statement signed by the key that it is about, which
// proves that whoever held the ceremony could use the key. A key that decrypts proves itself before, and another key of the
// same HSM signs.
type transcript struct {
	Statement json.RawMessage `json:"statement"`
	Signature string          `json:"signature"`
}

// check refuses operators without a name, and a file that is there.
func (f ceremonyFlags) check(least int) error {
	var names []string
	for _, name := range f.Operator {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			return errors.New("--operator: a name is empty")
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) < least {
		return fmt.Errorf("this needs two people: give --operator twice, with different names (found %s)", counted(len(names), "name"))
	}
	if f.Transcript != "" {
		if _, err := os.Lstat(f.Transcript); err == nil {
			return fmt.Errorf("--transcript: %s exists; a transcript is never written over", f.Transcript)
		}
	}
	return nil
}

// write makes the transcript of a change, if one is wanted. The key has to be in the HSM still.
func (f ceremonyFlags) write(ctx context.Context, p *program, command string, backend keyHolder, k store.Key, before, after string) error {
	if f.Transcript == "" {
		return nil
	}
	attested, err := backend.Attest(ctx, k.ID)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the host's name, for the transcript: %w", err)
	}
	said := statement{
		Command: command, At: p.now().UTC().Format(time.RFC3339), Host: host, Program: readBuild().version, Operators: f.Operator,
		Token: backend.Token(), KID: k.ID, Algorithm: k.Algorithm, Uses: k.Uses, Addresses: k.URIs, Public: k.Public,
		Before: before, After: after, Attested: &attested,
	}
	record, err := recordOf(k)
	if err != nil {
		return err
	}
	if record.Algorithm.Decrypts() {
		if err := signer.Prove(ctx, backend, record); err != nil {
			return err
		}
		if record, err = witness(ctx, backend); err != nil {
			return err
		}
		if said.SignerPublic, err = signer.PublicJWK(record); err != nil {
			return err
		}
		said.SignedBy = record.ID
	}
	signature, err := jose.Sign(ctx, jose.SigningKey{ID: record.ID, Algorithm: string(record.Algorithm), Sign: func(ctx context.Context, message []byte) ([]byte, error) {
		return signer.Sign(ctx, backend, record, message)
	}}, ceremonyType, said)
	if err != nil {
		return err
	}
	readable, err := json.Marshal(said)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(transcript{Statement: readable, Signature: signature}, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.Transcript, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--transcript: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("--transcript: %w", err)
	}
	p.printf("the transcript is in %s\n", f.Transcript)
	return nil
}

// record makes the transcript of a change that needed no HSM.
func (f ceremonyFlags) record(ctx context.Context, p *program, command string, k store.Key, after signer.State) error {
	if f.Transcript == "" {
		return nil
	}
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	backend, err := openBackend(ctx, loaded.Signer, nil)
	if err != nil {
		return err
	}
	return errors.Join(f.write(ctx, p, command, backend, k, k.State, string(after)), backend.Close())
}

// checkTranscript verifies a transcript and gives what it says. Whether the key was one of this server's is for the
// caller to compare.
func checkTranscript(raw []byte) (statement, error) {
	var t transcript
	if err := jose.DecodeStrict(raw, &t); err != nil {
		return statement{}, fmt.Errorf("not a transcript: %w", err)
	}
	token, err := jose.Parse(t.Signature, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		return statement{}, fmt.Errorf("the signature: %w", err)
	}
	if !token.Header.HasType(ceremonyType) {
		return statement{}, fmt.Errorf("the signature is of something else: its typ is %q, not %q", token.Header.Type, ceremonyType)
	}
	var said statement
	if err := token.Claims(&said); err != nil {
		return statement{}, fmt.Errorf("the signed statement: %w", err)
	}
	public, err := shown(said.KID, said.Public)
	if err != nil {
		return statement{}, err
	}
	signedBy := said.KID
	if said.SignedBy != "" {
		if public, err = shown(said.SignedBy, said.SignerPublic); err != nil {
			return statement{}, err
		}
		signedBy = said.SignedBy
	}
	if err := token.Verify(public); err != nil {
		return statement{}, fmt.Errorf("the signature is not of the key %s: %w", signedBy, err)
	}
	signed, err := json.Marshal(said)
	if err != nil {
		return statement{}, err
	}
	var written statement
	if err := json.Unmarshal(t.Statement, &written); err != nil {
		return statement{}, fmt.Errorf("the statement: %w", err)
	}
	readable, err := json.Marshal(written)
	if err != nil {
		return statement{}, err
	}
	if !bytes.Equal(signed, readable) {
		return statement{}, errors.New("the statement is not the one that was signed")
	}
	return said, nil
}

// shown reads a key that a statement shows, and holds it to its kid.
func shown(kid string, raw json.RawMessage) (crypto.PublicKey, error) {
	public, err := signer.ParsePublicJWK(raw)
	if err != nil {
		return nil, fmt.Errorf("the key in the statement: %w", err)
	}
	if thumbprint, err := signer.Thumbprint(public); err != nil || thumbprint != kid {
		return nil, fmt.Errorf("the statement is about %s and shows the key %s", kid, thumbprint)
	}
	return public, nil
}

// witness finds a key in the HSM that can sign a transcript for one that cannot.
func witness(ctx context.Context, backend keyHolder) (signer.Record, error) {
	held, err := backend.List(ctx)
	if err != nil {
		return signer.Record{}, err
	}
	for _, key := range held {
		if key.Refused == "" && !key.Record.Algorithm.Decrypts() {
			return key.Record, nil
		}
	}
	return signer.Record{}, errors.New("--transcript: the HSM holds no key that could sign it")
}

// recordOf is a stored key as the signer knows it.
func recordOf(k store.Key) (signer.Record, error) {
	public, err := signer.ParsePublicJWK(k.Public)
	if err != nil {
		return signer.Record{}, fmt.Errorf("key %s: %w", k.ID, err)
	}
	record := signer.Record{
		ID: k.ID, Algorithm: signer.Algorithm(k.Algorithm), State: signer.State(k.State), URIs: k.URIs, Public: public,
		CreatedAt: k.CreatedAt, ActivatedAt: k.ActivatedAt, RetiredAt: k.RetiredAt,
	}
	for _, use := range k.Uses {
		record.Uses = append(record.Uses, signer.Use(use))
	}
	return record, nil
}
