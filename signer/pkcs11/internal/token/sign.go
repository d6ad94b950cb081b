//go:build cgo && !nopkcs11

package token

// #cgo noescape sign_once
// #cgo nocallback sign_once
// #include <stdlib.h>
// #include "sign.h"
import "C"

import (
	"bytes"
	"reflect"
	"syscall"
	"unsafe"

	"github.com/miekg/pkcs11"

	"countersign/signer/pkcs11/internal/wire"
)

// Signatures, and nothing else, go around the binding and around Go's scheduler. The binding crosses to C twice for one,
// has C_Sign called twice, which is one more way to an HSM in the network and back, and allocates memory on both sides.
// And each call that takes longer than 20 µs costs its goroutine the processor. So threads of C take requests from a
// socket of their own, each in a packet, and answer there, up to four in a packet. They know the keys that the token's
// owner in Go gives them; what fails is judged by the parent.

// The sizes must be those of the protocol.
var _ = [1]struct{}{}[C.HEADER-wire.HeaderSize]
var _ = [1]struct{}{}[C.KID-wire.KIDSize]
var _ = [1]struct{}{}[C.SIGNATURE-wire.MaxSignature]
var _ = [1]struct{}{}[C.ANSWERS-wire.MaxAnswers]
var _ = [1]struct{}{}[C.PACKET-wire.HeaderSize-1-wire.KIDSize-wire.MaxMessage]

// functionList takes the module's list of functions from the binding. To ask the module once more would not do: p11-kit's
// client gives another connection with each list.
func functionList(module *pkcs11.Ctx) (unsafe.Pointer, error) {
	inner := reflect.ValueOf(module).Elem().FieldByName("ctx")
	if inner.Kind() == reflect.Pointer && inner.Elem().Kind() == reflect.Struct {
		if list := inner.Elem().FieldByName("sym"); list.Kind() == reflect.Pointer && !list.IsNil() {
			return list.UnsafePointer(), nil
		}
	}
	// It can come with another version of the binding only, and then with every module.
	return nil, wire.Failf(wire.FailFatal, "this version of github.com/miekg/pkcs11 does not keep the module's functions where they were")
}

// forC is a key as the threads know it.
type forC = C.held_t

func keyForC(p pair) forC {
	k := forC{
		algorithm: C.uchar(wire.AlgorithmNumber(p.algorithm)), handle: C.ulong_t(p.private), mechanism: C.ulong_t(mechanismOf(p.algorithm)),
	}
	if wire.SignsDigest(p.algorithm) {
		k.digest = 1
	}
	for i := range k.kid {
		k.kid[i] = C.char(p.kid[i])
	}
	return k
}

// giveThreads has the threads sign with the keys of a token that sign.
func giveThreads(held map[string]heldKey) error {
	list := make([]forC, 0, len(held))
	for _, k := range held {
		if !k.algorithm.Decrypts() {
			list = append(list, k.forC)
		}
	}
	if C.hold_keys(unsafe.SliceData(list), C.size_t(len(list))) != 0 {
		return wire.Failf(wire.FailModule, "no memory for %d keys", len(list))
	}
	return nil
}

// startThreads answers the requests of a socket, in a thread for each session, to the end of the process.
func startThreads(functions unsafe.Pointer, socket int, sessions []pkcs11.SessionHandle) error {
	list := make([]C.ulong_t, len(sessions))
	for i, session := range sessions {
		list[i] = C.ulong_t(session)
	}
	if problem := C.start_threads(functions, C.int(socket), unsafe.SliceData(list), C.int(len(list))); problem != 0 {
		return wire.Failf(wire.FailModule, "the signing threads: %v", syscall.Errno(problem))
	}
	return nil
}

// signHere makes a signature of an input, as [wire.SigningInput] gives it, in the caller's own thread.
func signHere(functions unsafe.Pointer, session pkcs11.SessionHandle, kid string, k heldKey, input []byte) ([]byte, error) {
	var out [C.SIGNATURE]byte
	o := C.sign_once(functions, C.ulong_t(session), &k.forC, unsafe.Pointer(unsafe.SliceData(input)), C.size_t(len(input)), unsafe.Pointer(&out))
	if o.where != C.GOOD {
		return nil, unsignedFailure(kid, byte(o.where), uint64(o.code))
	}
	return bytes.Clone(out[:o.length]), nil
}

// parseRequest reads a request to sign as the threads do.
func parseRequest(packet []byte) (alg byte, kid string, input []byte, ok bool) {
	var r C.request_t
	raw := C.CBytes(packet) // for r points into it
	defer C.free(raw)
	if C.read_request((*C.uchar)(raw), C.size_t(len(packet)), &r) != 0 {
		return 0, "", nil, false
	}
	return byte(r.algorithm), C.GoStringN(r.kid, wire.KIDSize), C.GoBytes(unsafe.Pointer(r.input), C.int(r.length)), true
}

// unsignedFailure says why no signature was made.
func unsignedFailure(kid string, where byte, code uint64) *wire.Failure {
	err := pkcs11.Error(code)
	switch where {
	case C.UNKNOWN_KEY:
		return wire.Failf(wire.FailNoKey, "the token holds no usable key %s; see: countersign keys list", kid)
	case C.WRONG_ALGORITHM:
		return wire.Failf(wire.FailRequest, "key %s signs with another algorithm", kid)
	case C.WRONG_LENGTH:
		return wire.Failf(wire.FailRequest, "key %s signs digests of SHA-256 only", kid)
	case C.AT_SIGN_INIT:
		return wire.Failf(Classify(err), "begin a signature with key %s: %v", kid, err)
	case C.AT_SIGN:
		return wire.Failf(Classify(err), "sign with key %s: %v", kid, err)
	}
	return wire.Failf(wire.FailModule, "no signature with key %s, for a reason %d that is not known", kid, where)
}
