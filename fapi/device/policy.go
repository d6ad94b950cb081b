package device

import (
	"slices"
	"strings"

	"countersign/fapi/browser"
	"countersign/internal/oauth"
	"countersign/store"
)

// AppPolicy bounds what approval apps may claim about how they have authenticated their user, by the sign-in under which
// they were enrolled. Whoever knew no more than a password at that time must not become more by the app.
type AppPolicy struct {
	// ByPassword is for apps that were enrolled under a password, or before the sign-in was recorded.
	ByPassword Claimable
	// ByPasskey is for apps that were enrolled under a passkey, or that an operator vouches for.
	ByPasskey Claimable
}

// Claimable is what an app may claim.
type Claimable struct {
	// ACR are authentication context classes.
	ACR []string
	// AMR are authentication method references (RFC 8176 §2).
	AMR []string
}

// DefaultAppPolicy lets an app that was enrolled under a password claim what somebody types, and one that was enrolled
// under a passkey every method of RFC 8176.
func DefaultAppPolicy() AppPolicy {
	return AppPolicy{
		ByPassword: Claimable{ACR: []string{browser.PasswordACR}, AMR: []string{"pin", "pwd", "user"}},
		ByPasskey:  Claimable{ACR: []string{browser.PasskeyACR, browser.PasswordACR}, AMR: Methods()},
	}
}

// zero reports whether nothing is set.
func (p AppPolicy) zero() bool {
	return p.ByPassword.ACR == nil && p.ByPassword.AMR == nil && p.ByPasskey.ACR == nil && p.ByPasskey.AMR == nil
}

// of returns what a device may claim.
func (p AppPolicy) of(device store.Device) Claimable {
	if device.ACR == browser.PasskeyACR {
		return p.ByPasskey
	}
	return p.ByPassword
}

// Methods are the authentication method references of RFC 8176 §2.
func Methods() []string {
	return []string{
		"face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd", "rba", "retina", "sc", "sms",
		"swk", "tel", "user", "vbm", "wia",
	}
}

// checkForm checks the acr and amr that an app sent. acrValues are those that there are.
func checkForm(a browser.Authentication, acrValues []string) error {
	if a.ACR != "" && !slices.Contains(acrValues, a.ACR) {
		return oauth.Errorf(oauth.InvalidRequest, "acr must be one of acr_values_supported: %s", strings.Join(acrValues, ", "))
	}
	if len(a.AMR) == 0 {
		return oauth.Errorf(oauth.InvalidRequest,
			"amr must name how the user was authenticated for this decision, such as \"hwk fpt\" (RFC 8176 §2)")
	}
	known := Methods()
	for i, method := range a.AMR {
		if !slices.Contains(known, method) || slices.Contains(a.AMR[:i], method) {
			return oauth.Errorf(oauth.InvalidRequest, "amr must be different values of RFC 8176 §2, separated by spaces")
		}
	}
	return nil
}

// beyond returns what of an authentication exceeds c, in words, or "".
func (c Claimable) beyond(a browser.Authentication) string {
	var excess []string
	if a.ACR != "" && !slices.Contains(c.ACR, a.ACR) {
		excess = append(excess, "acr "+a.ACR)
	}
	for _, method := range a.AMR {
		if !slices.Contains(c.AMR, method) {
			excess = append(excess, "amr "+method)
		}
	}
	return strings.Join(excess, ", ")
}
