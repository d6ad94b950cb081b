package ceremony

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"countersign/internal/hsm"
	"countersign/internal/jose"
	"countersign/internal/strictjson"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/store"
)

// transcriptType is the typ of a transcript's signature.
const transcriptType = "countersign-ceremony+jwt"

// Statement is what a transcript says.
type Statement struct {
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

// transcript is a file: the statement to be read, and the same statement signed by the key that it is about, which
// proves that whoever held the ceremony could use the key. A key that decrypts proves itself before, and another key of the
// same HSM signs.
type transcript struct {
	Statement json.RawMessage `json:"statement"`
	Signature string          `json:"signature"`
}

// record writes the transcript of a change that needed no HSM.
func (c *Ceremony) record(ctx context.Context, command string, k store.Key, after signer.State) error {
	if c.Transcript == "" {
		return nil
	}
	holder, err := hsm.OpenFirst(ctx, c.Signer, nil)
	if err != nil {
		return err
	}
	return errors.Join(c.write(ctx, command, holder, k, k.State, string(after)), holder.Close())
}

// write writes the transcript of a change, if one is wanted. The key has to be in the HSM still, unless it retires: another
// key of the HSM signs for one that is gone.
func (c *Ceremony) write(ctx context.Context, command string, holder hsm.Holder, k store.Key, before, after string) error {
	if c.Transcript == "" {
		return nil
	}
	var attested *pkcs11.Attestation
	switch said, err := holder.Attest(ctx, k.ID); {
	case err == nil:
		attested = &said
	case !errors.Is(err, signer.ErrNoKey) || after != string(signer.Retiring):
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the host's name, for the transcript: %w", err)
	}
	text, err := sign(ctx, holder, k, Statement{
		Command: command, At: c.Now().UTC().Format(time.RFC3339), Host: host, Program: c.Program, Operators: c.Operators,
		Token: holder.Token(), KID: k.ID, Algorithm: k.Algorithm, Uses: k.Uses, Addresses: k.URIs, Public: k.Public,
		Before: before, After: after, Attested: attested,
	})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(c.Transcript, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--transcript: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("--transcript: %w", err)
	}
	c.Report(Event{Step: TranscriptWritten, Key: k, File: c.Transcript})
	return nil
}

// sign signs a statement with the key that it is about, or with another of the HSM when that key decrypts or is gone.
func sign(ctx context.Context, holder hsm.Holder, k store.Key, said Statement) ([]byte, error) {
	record, err := hsm.Record(k)
	if err != nil {
		return nil, err
	}
	if record.Algorithm.Decrypts() && said.Attested != nil {
		if err := signer.Prove(ctx, holder, record); err != nil {
			return nil, err
		}
	}
	if record.Algorithm.Decrypts() || said.Attested == nil {
		if record, err = witness(ctx, holder); err != nil {
			return nil, err
		}
		if said.SignerPublic, err = signer.PublicJWK(record); err != nil {
			return nil, err
		}
		said.SignedBy = record.ID
	}
	signing := jose.SigningKey{ID: record.ID, Algorithm: string(record.Algorithm), Sign: func(ctx context.Context, message []byte) ([]byte, error) {
		return signer.Sign(ctx, holder, record, message)
	}}
	signature, err := jose.Sign(ctx, signing, transcriptType, said)
	if err != nil {
		return nil, err
	}
	readable, err := json.Marshal(said)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(transcript{Statement: readable, Signature: signature}, "", "  ")
}

// witness finds a key in the HSM that can sign a transcript for one that cannot.
func witness(ctx context.Context, holder hsm.Holder) (signer.Record, error) {
	held, err := holder.List(ctx)
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

// ReadTranscript verifies a transcript and returns what it says. Whether the key is one of this server's is for the caller
// to compare.
func ReadTranscript(raw []byte) (Statement, error) {
	var t transcript
	if err := strictjson.Decode(raw, &t); err != nil {
		return Statement{}, fmt.Errorf("not a transcript: %w", err)
	}
	token, err := jose.Parse(t.Signature, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		return Statement{}, fmt.Errorf("the signature: %w", err)
	}
	if !token.Header.HasType(transcriptType) {
		return Statement{}, fmt.Errorf("the signature is of something else: its typ is %q, not %q", token.Header.Type, transcriptType)
	}
	var said Statement
	if err := token.Claims(&said); err != nil {
		return Statement{}, fmt.Errorf("the signed statement: %w", err)
	}
	if err := verify(token, said); err != nil {
		return Statement{}, err
	}
	return said, sameStatement(said, t.Statement)
}

// Gone are the keys of a statement that are not among those of the server now.
func (s Statement) Gone(ctx context.Context, keys store.Keys) (gone []string, err error) {
	known, err := keys.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, kid := range []string{s.KID, s.SignedBy} {
		if kid != "" && !slices.ContainsFunc(known, func(k store.Key) bool { return k.ID == kid }) {
			gone = append(gone, kid)
		}
	}
	return gone, nil
}

// verify checks the signature with the key that the statement shows.
func verify(token *jose.Token, said Statement) error {
	public, err := shown(said.KID, said.Public)
	if err != nil {
		return err
	}
	signedBy := said.KID
	if said.SignedBy != "" {
		signedBy = said.SignedBy
		if public, err = shown(said.SignedBy, said.SignerPublic); err != nil {
			return err
		}
	}
	if err := token.Verify(public); err != nil {
		return fmt.Errorf("the signature is not of the key %s: %w", signedBy, err)
	}
	return nil
}

// sameStatement compares what was signed with what is there to be read.
func sameStatement(said Statement, readable json.RawMessage) error {
	signed, err := json.Marshal(said)
	if err != nil {
		return err
	}
	var written Statement
	if err := json.Unmarshal(readable, &written); err != nil {
		return fmt.Errorf("the statement: %w", err)
	}
	again, err := json.Marshal(written)
	if err != nil {
		return err
	}
	if !bytes.Equal(signed, again) {
		return errors.New("the statement is not the one that was signed")
	}
	return nil
}

// shown reads a key that a statement shows, and compares it with its kid.
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
