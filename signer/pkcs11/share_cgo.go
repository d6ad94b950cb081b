//go:build cgo && !nopkcs11

package pkcs11

import (
	"errors"

	"github.com/miekg/pkcs11"
)

// Trouble is what an error of a module, from whichever binding over miekg/pkcs11, asks for.
type Trouble int

// The kinds of trouble.
const (
	// ModuleTrouble is that of the module, the connection or the login.
	ModuleTrouble Trouble = iota
	// RequestTrouble: the module refuses the request, and will refuse it again.
	RequestTrouble
	// HandleTrouble: the object is not there, or no longer under this handle.
	HandleTrouble
)

// Classify tells what an error asks for.
func Classify(err error) Trouble {
	if found, ok := errors.AsType[pkcs11.Error](err); ok &&
		(uint(found) == pkcs11.CKR_KEY_HANDLE_INVALID || uint(found) == pkcs11.CKR_OBJECT_HANDLE_INVALID) {
		return HandleTrouble
	}
	if classify(err) == failRequest {
		return RequestTrouble
	}
	return ModuleTrouble
}
