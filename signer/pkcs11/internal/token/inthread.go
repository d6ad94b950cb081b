//go:build cgo && !nopkcs11

package token

import (
	"fmt"
	"time"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// InThread signs with a token in its callers' own threads, a session for each.
type InThread struct {
	token    *Token
	sessions chan pkcs11.SessionHandle
}

// OpenInThread opens a token in this very process.
func OpenInThread(h wire.Hello, now func() time.Time) (*InThread, error) {
	t, err := Open(h, now)
	if err != nil {
		return nil, err
	}
	s := &InThread{token: t, sessions: make(chan pkcs11.SessionHandle, h.Sessions)}
	for range h.Sessions {
		session, err := t.openSession(0)
		if err != nil {
			return nil, err
		}
		s.sessions <- session
	}
	return s, nil
}

// Sign makes a signature of an input, as [wire.SigningInput] gives it. It waits for a session, however long.
func (s *InThread) Sign(record signer.Record, input []byte) ([]byte, error) {
	k, err := s.token.key(record.ID)
	if err != nil {
		return nil, err
	}
	if k.algorithm != record.Algorithm || k.algorithm.Decrypts() {
		return nil, fmt.Errorf("pkcs11: key %s does not sign with %s", record.ID, record.Algorithm)
	}
	session := <-s.sessions
	defer func() { s.sessions <- session }()
	return signHere(s.token.functions, session, record.ID, k, input)
}
