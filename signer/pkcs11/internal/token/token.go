//go:build cgo && !nopkcs11

// Package token is a PKCS#11 module with a token that is logged in to: it holds the keys to the policy, makes, lists and destroys
// them, and signs and decrypts with them. It is the only package that calls modules, and so foreign code.
package token

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/pin"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/rfc7512"
)

// The mechanism and key type of Ed25519 (PKCS #11 v3.0 §2.3), which the binding does not name.
const (
	mechanismEdDSA = 0x1057
	mechanismEdGen = 0x1055
	keyTypeEdwards = 0x40
)

// rereadInterval is how soon after an unknown kid the token's keys may be read again.
const rereadInterval = time.Second

// Token is a logged-in token: it holds the login in one idle session and signs in others.
type Token struct {
	module *pkcs11.Ctx
	// functions are the module's own.
	functions unsafe.Pointer
	slot      uint
	label     string
	// sessions are those to decrypt in, which are opened when they are first needed, and 0 until then.
	sessions chan pkcs11.SessionHandle
	// held are the keys that may be used, by kid. The map is replaced and never changed, so that nothing waits for it.
	held atomic.Pointer[map[string]heldKey]

	// signing is how many sessions sign.
	signing int

	mu     sync.Mutex // serialises what is not signing
	keep   pkcs11.SessionHandle
	readAt time.Time
	now    func() time.Time
}

// heldKey is a key that may sign.
type heldKey struct {
	handle    pkcs11.ObjectHandle
	algorithm signer.Algorithm
	forC      forC
}

// Open loads the module and logs in; now is the clock by which the token is read again.
func Open(h wire.Hello, now func() time.Time) (*Token, error) {
	uri, err := rfc7512.Parse(h.Token)
	if err != nil {
		return nil, wire.Failf(wire.FailFatal, "%v", err)
	}
	secret, err := pin.Of(h)
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
	t := &Token{now: now, module: module, slot: slot, label: uri.Token, sessions: make(chan pkcs11.SessionHandle, h.Sessions)}
	if t.functions, err = functionList(module); err != nil {
		return nil, err
	}
	if t.keep, err = t.openSession(0); err != nil {
		return nil, err
	}
	memory := pin.Memory{Folder: h.StateDir, Token: trim(info.Label) + " " + trim(info.SerialNumber), Now: now}
	if err := login(module, t.keep, info, secret, memory); err != nil {
		return nil, err
	}
	for range h.Sessions {
		t.sessions <- 0
	}
	_, err = t.List()
	return t, err
}

// SignFor has the threads sign what a socket asks for, each in a session of its own. Trouble with a session or a handle
// ends the worker, whose successor begins afresh: there is no state here worth saving, and no recovery inside a process
// that all modules survive. A token with fewer sessions signs in those that it has.
func (t *Token) SignFor(socket, count int) error {
	var sessions []pkcs11.SessionHandle
	for range count {
		session, err := t.module.OpenSession(t.slot, pkcs11.CKF_SERIAL_SESSION)
		if hasCode(err, pkcs11.CKR_SESSION_COUNT) && len(sessions) > 0 {
			break
		}
		if err != nil {
			return wire.Failf(wire.FailModule, "open a session: %v", err)
		}
		sessions = append(sessions, session)
	}
	t.signing = len(sessions)
	return startThreads(t.functions, socket, sessions)
}

// Signing is in how many sessions [Token.SignFor] signs.
func (t *Token) Signing() int { return t.signing }

// session gives a session to decrypt in, and what takes it back.
func (t *Token) session() (pkcs11.SessionHandle, func(), error) {
	session := <-t.sessions
	if session == 0 {
		var err error
		if session, err = t.openSession(0); err != nil {
			t.sessions <- 0
			return 0, nil, err
		}
	}
	return session, func() { t.sessions <- session }, nil
}

func (t *Token) openSession(flags uint) (pkcs11.SessionHandle, error) {
	session, err := t.module.OpenSession(t.slot, pkcs11.CKF_SERIAL_SESSION|flags)
	if err != nil {
		return 0, wire.Failf(wire.FailModule, "open a session: %v", err)
	}
	return session, nil
}

// Classify tells a request that the module refuses, and will refuse again, from trouble of the module. The first kind
// must not end the worker: other keys sign well.
func Classify(err error) wire.Code {
	found, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return wire.FailModule
	}
	switch uint(found) {
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_KEY_TYPE_INCONSISTENT,
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE:
		return wire.FailRequest
	}
	return wire.FailModule
}

// NoObject reports whether an error of a module says that an object is not there, or no longer under its handle.
func NoObject(err error) bool {
	found, ok := errors.AsType[pkcs11.Error](err)
	return ok && (uint(found) == pkcs11.CKR_KEY_HANDLE_INVALID || uint(found) == pkcs11.CKR_OBJECT_HANDLE_INVALID)
}

// LookFor finds a key that another process may have made; the failure is wire.FailNoKey.
func (t *Token) LookFor(kid string) error {
	_, err := t.key(kid)
	return err
}

// key finds a key by kid. An unknown one may just have been made by another process: then the token is read again,
// but not more often than rereadInterval.
func (t *Token) key(kid string) (heldKey, error) {
	if k, ok := (*t.held.Load())[kid]; ok {
		return k, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.readAt) > rereadInterval {
		if _, err := t.read(); err != nil {
			return heldKey{}, err
		}
	}
	k, ok := (*t.held.Load())[kid]
	if !ok {
		return heldKey{}, wire.Failf(wire.FailNoKey, "the token %q holds no usable key %s; see: countersign keys list", t.label, kid)
	}
	return k, nil
}

// List reads the keys of the token, also those that the policy refuses.
func (t *Token) List() ([]wire.Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read()
}

// read reads the token's keys and remembers those that may sign. The caller holds mu.
func (t *Token) read() ([]wire.Key, error) {
	pairs, err := t.readPairs()
	if err != nil {
		return nil, err
	}
	held, keys := map[string]heldKey{}, []wire.Key{}
	for _, p := range pairs {
		keys = append(keys, wire.Key{ID: p.kid, Algorithm: p.algorithm, Public: p.pkix, URI: rfc7512.URI{Token: t.label, ID: p.id}.String(), Refused: p.refused})
		if p.refused == "" {
			held[p.kid] = heldKey{handle: p.private, algorithm: p.algorithm, forC: keyForC(p)}
		}
	}
	if err := giveThreads(held); err != nil {
		return nil, err
	}
	t.held.Store(&held)
	t.readAt = t.now()
	return keys, nil
}

// Destroy removes both halves of a key; the failure is wire.FailNoKey for an unknown one.
func (t *Token) Destroy(kid string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.remove(kid)
}

// remove destroys both halves of a key. The caller holds mu.
func (t *Token) remove(kid string) error {
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
				return wire.Failf(wire.FailRequest, "destroy key %s: %v", kid, err)
			}
		}
		_, err := t.read()
		return err
	}
	return wire.Failf(wire.FailNoKey, "the token %q holds no key %s", t.label, kid)
}

func (t *Token) closeSession(session pkcs11.SessionHandle) {
	// A session that does not close is closed with the process.
	_ = t.module.CloseSession(session)
}
