//go:build cgo && !nopkcs11

package pkcs11

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"

	"countersign/signer"
)

// The mechanism and key type of Ed25519 (PKCS #11 v3.0 §2.3), which the binding does not name.
const (
	mechanismEdDSA = 0x1057
	mechanismEdGen = 0x1055
	keyTypeEdwards = 0x40
)

// rereadInterval is how soon after an unknown kid the token's keys may be read again.
const rereadInterval = time.Second

// token is a logged-in token: it holds the login in one idle session and signs in others.
type token struct {
	module *pkcs11.Ctx
	slot   uint
	label  string
	// sessions are the idle ones for signing.
	sessions chan pkcs11.SessionHandle
	// held are the keys that may sign, by kid. The map is replaced and never changed, so that signing waits for nothing.
	held atomic.Pointer[map[string]heldKey]

	mu     sync.Mutex // serialises what is not signing
	keep   pkcs11.SessionHandle
	readAt time.Time
}

// heldKey is a key that may sign.
type heldKey struct {
	handle    pkcs11.ObjectHandle
	algorithm signer.Algorithm
}

func openToken(h hello) (*token, error) {
	uri, err := ParseURI(h.Token)
	if err != nil {
		return nil, failf(failFatal, "%v", err)
	}
	pin, err := h.pin()
	if err != nil {
		return nil, err
	}
	module, err := loadModule(h.Module, h.Parameters)
	if err != nil {
		return nil, err
	}
	slot, info, err := findSlot(module, uri)
	if err != nil {
		return nil, err
	}
	t := &token{module: module, slot: slot, label: uri.Token, sessions: make(chan pkcs11.SessionHandle, h.Sessions)}
	if t.keep, err = t.openSession(0); err != nil {
		return nil, err
	}
	if err := login(module, t.keep, info, pin); err != nil {
		return nil, err
	}
	for range h.Sessions {
		session, err := t.openSession(0)
		if err != nil {
			return nil, err
		}
		t.sessions <- session
	}
	_, err = t.list()
	return t, err
}

func (t *token) openSession(flags uint) (pkcs11.SessionHandle, error) {
	session, err := t.module.OpenSession(t.slot, pkcs11.CKF_SERIAL_SESSION|flags)
	if err != nil {
		return 0, failf(failModule, "open a session: %v", err)
	}
	return session, nil
}

// sign implements service. Trouble with a session or a handle ends the worker, whose successor begins afresh: there is
// no state here worth saving, and no recovery inside a process that all modules survive.
func (t *token) sign(payload []byte) ([]byte, error) {
	alg, kid, message, err := parseUse(payload)
	if err != nil {
		return nil, err
	}
	k, err := t.key(kid)
	if err != nil {
		return nil, err
	}
	if k.algorithm != alg || alg.Decrypts() {
		return nil, failf(failRequest, "key %s signs with %s and not with %s", kid, k.algorithm, alg)
	}
	session := <-t.sessions
	defer func() { t.sessions <- session }()
	mechanism, input := prepare(alg, message)
	if err := t.module.SignInit(session, mechanism, k.handle); err != nil {
		return nil, failf(classify(err), "begin a signature with key %s: %v", kid, err)
	}
	signature, err := t.module.Sign(session, input)
	if err != nil {
		return nil, failf(classify(err), "sign with key %s: %v", kid, err)
	}
	return signature, nil
}

// classify tells a request that the module refuses, and will refuse again, from trouble of the module. The first kind
// must not end the worker: other keys sign well.
func classify(err error) code {
	found, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return failModule
	}
	switch uint(found) {
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_KEY_TYPE_INCONSISTENT,
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE:
		return failRequest
	}
	return failModule
}

// prepare gives the mechanism and what it signs: a digest, or for Ed25519 the message itself. Module output is in JWS
// form as it comes: CKM_ECDSA gives r‖s.
func prepare(alg signer.Algorithm, message []byte) ([]*pkcs11.Mechanism, []byte) {
	digest := sha256.Sum256(message)
	switch alg {
	case signer.PS256:
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS,
			pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, sha256.Size))}, digest[:]
	case signer.ES256:
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, digest[:]
	default:
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanismEdDSA, nil)}, message
	}
}

// key finds a key by kid. An unknown one may just have been made by another process: then the token is read again,
// but not more often than rereadInterval.
func (t *token) key(kid string) (heldKey, error) {
	if k, ok := (*t.held.Load())[kid]; ok {
		return k, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.readAt) > rereadInterval {
		if _, err := t.read(); err != nil {
			return heldKey{}, err
		}
	}
	k, ok := (*t.held.Load())[kid]
	if !ok {
		return heldKey{}, failf(failNoKey, "the token %q holds no usable key %s; see: countersign keys list", t.label, kid)
	}
	return k, nil
}

// list implements service.
func (t *token) list() ([]key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read()
}

// read reads the token's keys and remembers those that may sign. The caller holds mu.
func (t *token) read() ([]key, error) {
	pairs, err := t.readPairs()
	if err != nil {
		return nil, err
	}
	held, keys := map[string]heldKey{}, []key{}
	for _, p := range pairs {
		keys = append(keys, key{ID: p.kid, Algorithm: p.algorithm, Public: p.jwk, URI: URI{Token: t.label, ID: p.id}.String(), Refused: p.refused})
		if p.refused == "" {
			held[p.kid] = heldKey{handle: p.private, algorithm: p.algorithm}
		}
	}
	t.held.Store(&held)
	t.readAt = time.Now()
	return keys, nil
}

// destroy implements service.
func (t *token) destroy(kid string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.remove(kid)
}

// remove destroys both halves of a key. The caller holds mu.
func (t *token) remove(kid string) error {
	pairs, err := t.readPairs()
	if err != nil {
		return err
	}
	session, err := t.openSession(pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	defer t.closeSession(session)
	for _, p := range pairs {
		if p.kid != kid {
			continue
		}
		for _, object := range []pkcs11.ObjectHandle{p.private, p.public} {
			if err := t.module.DestroyObject(session, object); err != nil {
				return failf(failRequest, "destroy key %s: %v", kid, err)
			}
		}
		_, err := t.read()
		return err
	}
	return failf(failNoKey, "the token %q holds no key %s", t.label, kid)
}

func (t *token) closeSession(session pkcs11.SessionHandle) {
	// A session that does not close is closed with the process.
	_ = t.module.CloseSession(session)
}
