//go:build cgo && !nopkcs11

package token

// #include <stdlib.h>
import "C"

import (
	"errors"
	"strings"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"

	"countersign/signer/pkcs11/internal/pin"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/rfc7512"
)

// Built reports whether this binary can load PKCS#11 modules.
const Built = true

// loadModule loads and initialises a vendor's module. The process keeps it to its end: to finalize a module with calls
// under way crashes some of them. The parameters, mostly none, are a string of the vendor's.
func loadModule(file, parameters string) (*pkcs11.Ctx, error) {
	module := pkcs11.New(file)
	if module == nil {
		return nil, wire.Failf(wire.FailModule, "the module %s cannot be loaded; check that the file exists and is a PKCS#11 module for this machine (for SoftHSM2: apt-get install softhsm2)", file)
	}
	var options []pkcs11.InitializeOption
	if parameters != "" {
		options = append(options, pkcs11.InitializeWithReserved(unsafe.Pointer(C.CString(parameters)))) // the module may keep it
	}
	if err := module.Initialize(options...); err != nil {
		return nil, wire.Failf(wire.FailModule, "the module %s does not initialise: %v%s", file, err, parametersAdvice(err, parameters))
	}
	return module, nil
}

func parametersAdvice(err error, parameters string) string {
	switch {
	case !hasCode(err, pkcs11.CKR_ARGUMENTS_BAD):
		return ""
	case parameters == "":
		return "; it may want parameters (signer.module_parameters), as NSS does"
	}
	return "; check its parameters (signer.module_parameters)"
}

// tokenInfo asks a token about itself. SoftHSM2 writes the file of its token in place whenever a process logs in, and answers
// CKR_GENERAL_ERROR to another that reads it meanwhile: that passes, and asking changes nothing.
func tokenInfo(module *pkcs11.Ctx, slot uint) (info pkcs11.TokenInfo, err error) {
	const tries, pause = 5, 20 * time.Millisecond
	for try := range tries {
		if try > 0 {
			time.Sleep(pause)
		}
		if info, err = module.GetTokenInfo(slot); !hasCode(err, pkcs11.CKR_GENERAL_ERROR) {
			break
		}
	}
	return info, err
}

// findSlot finds the one slot whose token has this label (and serial number, if given).
func findSlot(module *pkcs11.Ctx, uri rfc7512.URI) (uint, pkcs11.TokenInfo, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, wire.Failf(wire.FailModule, "list the slots: %v", err)
	}
	var (
		found []uint
		token pkcs11.TokenInfo
		seen  []string
	)
	for _, slot := range slots {
		info, err := tokenInfo(module, slot)
		if err != nil {
			continue // an empty or broken reader is not ours
		}
		label, serial := trim(info.Label), trim(info.SerialNumber)
		seen = append(seen, label)
		if label == uri.Token && (uri.Serial == "" || uri.Serial == serial) {
			found, token = append(found, slot), info
		}
	}
	switch len(found) {
	case 1:
		return found[0], token, nil
	case 0:
		return 0, token, wire.Failf(wire.FailModule, "the module has no token labelled %q; it has %q", uri.Token, seen)
	}
	return 0, token, wire.Failf(wire.FailModule, "the module has %d tokens labelled %q; add serial= to the address", len(found), uri.Token)
}

// trim removes the padding of fixed-width fields.
func trim(field string) string { return strings.TrimRight(field, " \x00") }

// login logs a session in. A wrong PIN is sent once and never again, not even by another worker: real HSMs lock after a few.
func login(module *pkcs11.Ctx, session pkcs11.SessionHandle, info pkcs11.TokenInfo, secret string, memory pin.Memory) error {
	if info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0 {
		return wire.Failf(wire.FailHeld, "the token's user PIN is locked (CKF_USER_PIN_LOCKED); the security officer has to set a new one; none is sent")
	}
	if info.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0 {
		return wire.Failf(wire.FailHeld, "the token has one try of its PIN left, which is not risked; check the PIN and log in once with the vendor's tool")
	}
	release, err := memory.Lock()
	if err != nil {
		return wire.Failf(wire.FailModule, "log in: %v", err)
	}
	defer release()
	refused, err := memory.Refused(secret)
	switch {
	case err != nil:
		return wire.Failf(wire.FailHeld, "whether the token refused this PIN before cannot be told, so it is not sent: %v", err)
	case refused != nil:
		return wire.Failf(wire.FailHeld, "the token refuses the PIN since %s (%s), so it is not sent again until it changes; if it is right now, remove %s",
			refused.RefusedAt.Format(time.RFC3339), refused.Reason, memory.File())
	}
	err = module.Login(session, pkcs11.CKU_USER, secret)
	switch {
	case err == nil || hasCode(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		_ = memory.Forget() // what stays speaks of another PIN
		return nil
	case hasCode(err, pkcs11.CKR_PIN_INCORRECT), hasCode(err, pkcs11.CKR_PIN_LEN_RANGE), hasCode(err, pkcs11.CKR_PIN_INVALID):
		return refusal(memory, secret, err, "the token refuses the PIN")
	case hasCode(err, pkcs11.CKR_PIN_LOCKED):
		return refusal(memory, secret, err, "the token's user PIN is locked; the security officer has to set a new one")
	case hasCode(err, pkcs11.CKR_PIN_EXPIRED):
		return refusal(memory, secret, err, "the token's user PIN has expired and has to be changed")
	case hasCode(err, pkcs11.CKR_USER_PIN_NOT_INITIALIZED):
		return wire.Failf(wire.FailFatal, "the token's user PIN is not set; the security officer has to set one, and then the server to be restarted: %v", err)
	}
	return wire.Failf(wire.FailModule, "log in: %v", err)
}

// refusal remembers that the token refused a PIN. What cannot be remembered here, the parent remembers while it lives.
func refusal(memory pin.Memory, secret string, cause error, what string) error {
	reason := cause.Error()
	if _, name, found := strings.Cut(reason, "CKR_"); found {
		reason = "CKR_" + name
	}
	if err := memory.Remember(secret, reason); err != nil {
		return wire.Failf(wire.FailFatal, "%s (%s); it was sent once and is not sent again until its file changes or the server is restarted; a restart would send it, because it cannot be remembered: %v",
			what, reason, err)
	}
	return wire.Failf(wire.FailHeld, "%s (%s); it was sent once and is not sent again until it changes; if it is right now, remove %s", what, reason, memory.File())
}

func hasCode(err error, code uint) bool {
	found, ok := errors.AsType[pkcs11.Error](err)
	return ok && uint(found) == code
}

// Initialise makes a token in a free slot.
func Initialise(i wire.Initialisation) error {
	officer, err := pin.Read(i.SOPINFile)
	if err != nil {
		return err
	}
	user, err := pin.Read(i.PINFile)
	if err != nil {
		return err
	}
	module, err := loadModule(i.Module, "")
	if err != nil {
		return err
	}
	slots, err := module.GetSlotList(true)
	if err != nil {
		return wire.Failf(wire.FailModule, "list the slots: %v", err)
	}
	free, found := uint(0), false
	for _, slot := range slots {
		info, err := tokenInfo(module, slot)
		switch {
		case err != nil:
		case info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0:
			free, found = slot, true
		case trim(info.Label) == i.Label:
			return wire.Failf(wire.FailModule, "a token labelled %q exists already", i.Label)
		}
	}
	if !found {
		return wire.Failf(wire.FailModule, "the module has no free slot for a new token")
	}
	if err := module.InitToken(free, officer, i.Label); err != nil {
		return wire.Failf(wire.FailModule, "initialise the token: %v", err)
	}
	slot, _, err := findSlot(module, rfc7512.URI{Token: i.Label}) // it may have moved
	if err != nil {
		return err
	}
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return wire.Failf(wire.FailModule, "open a session: %v", err)
	}
	if err := module.Login(session, pkcs11.CKU_SO, officer); err != nil {
		return wire.Failf(wire.FailModule, "log in as security officer: %v", err)
	}
	if err := module.InitPIN(session, user); err != nil {
		return wire.Failf(wire.FailModule, "set the user PIN: %v", err)
	}
	return nil
}
