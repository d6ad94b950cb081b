// Package passkey holds the two ceremonies of WebAuthn (Level 3 §7): registration and authentication.
//
// It is stateless. A challenge says, authenticated by a key of the server's, what it may be used for and until when; a caller
// that verifies an answer gets a [OneTime], which must be consumed in the same step as what the answer allows, so that each
// challenge is answered once. User verification is always demanded: a passkey alone is two factors.
package passkey

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign/internal/strictjson"
)

// ErrNoDomain: passkeys belong to a domain name (WebAuthn Level 3 §5.1.2), and the issuer's host is an address.
var ErrNoDomain = errors.New("passkey: the issuer's host is a network address; passkeys need a domain name")

// ErrRefused: the answer does not prove what it was asked for. What wraps it says why, for the log.
var ErrRefused = errors.New("passkey: refused")

const (
	// ceremonyTime is how long a browser lets the user take.
	ceremonyTime = 5 * time.Minute
	// maxAnswer bounds the JSON of an answer, in bytes.
	maxAnswer = 16 << 10
)

// Config is everything that [Ceremonies] need.
type Config struct {
	// Issuer is the server's https address; its host is the relying party's identifier.
	Issuer string
	// Name is the server's name, as authenticators show it.
	Name string
	// Key authenticates challenges; all nodes share it.
	Key []byte
	Now func() time.Time
}

// Ceremonies makes challenges and verifies answers. Make one with [New].
type Ceremonies struct {
	library *webauthn.WebAuthn
	key     []byte
	now     func() time.Time
}

// User is who a passkey belongs to. Authenticators show the names; they never learn the subject.
type User struct {
	Subject, Username, DisplayName string
}

// Credential is a passkey that was made.
type Credential struct {
	ID        []byte
	PublicKey []byte // COSE_Key
	AAGUID    []byte // 16 bytes
	// Synced reports that it may be copied to other devices (§6.1.3).
	Synced    bool
	SignCount uint32
}

// Stored is what was stored of a [Credential].
type Stored struct {
	Subject string
	Credential
}

// OneTime is the one-time value of a challenge. It must be remembered until its time.
type OneTime struct {
	Key   [32]byte
	Until time.Time
}

// Assertion is a proven passkey.
type Assertion struct {
	Stored
	// SignCount is the counter of this use; whether it grew is the store's to check.
	SignCount uint32
	// SyncedNow is the backup eligibility of this use, which should never differ from [Credential].Synced (§7.2 step 19) and
	// does where an authenticator begins to sync its keys, or another application uses the same ones.
	SyncedNow bool
}

// New checks the configuration and makes the ceremonies. [ErrNoDomain] when the issuer cannot have passkeys.
func New(config Config) (*Ceremonies, error) {
	issuer, err := url.Parse(config.Issuer)
	if err != nil || issuer.Scheme != "https" || issuer.Host == "" {
		return nil, fmt.Errorf("passkey: the issuer %q is not an https address", config.Issuer)
	}
	if net.ParseIP(issuer.Hostname()) != nil {
		return nil, ErrNoDomain
	}
	if len(config.Key) < sha256.Size || config.Now == nil || config.Name == "" {
		return nil, errors.New("passkey: Name, a Key of at least 32 bytes and Now are required")
	}
	library, err := webauthn.New(&webauthn.Config{
		RPID: issuer.Hostname(), RPDisplayName: config.Name, RPOrigins: []string{"https://" + issuer.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Ceremonies{library: library, key: config.Key, now: config.Now}, nil
}

// algorithms are those that a passkey may sign with. RS256 is what the TPM of Windows has; it is no JOSE signature here.
func algorithms() []protocol.CredentialParameter {
	var all []protocol.CredentialParameter
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		all = append(all, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return all
}

// BeginRegistration returns the options for navigator.credentials.create, as JSON (§5.1.9). existing are the IDs of the
// user's passkeys: an authenticator that has one of them makes no second.
func (c *Ceremonies) BeginRegistration(binding Binding, user User, existing [][]byte) (string, error) {
	creation, _, err := c.library.BeginRegistration(account{user: user},
		webauthn.WithCredentialParameters(algorithms()), webauthn.WithExclusions(descriptors(existing)),
		func(options *protocol.PublicKeyCredentialCreationOptions) error {
			options.Challenge, options.Timeout = c.challenge(binding), int(ceremonyTime.Milliseconds())
			return nil
		})
	if err != nil {
		return "", fmt.Errorf("passkey: %w", err)
	}
	return encode(creation.Response)
}

// Register verifies the answer to [Ceremonies.BeginRegistration]. Errors wrap [ErrRefused].
func (c *Ceremonies) Register(binding Binding, user User, answer string) (Credential, OneTime, error) {
	if err := strict(answer); err != nil {
		return Credential{}, OneTime{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return Credential{}, OneTime{}, refused(err)
	}
	once, err := c.check(binding, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return Credential{}, OneTime{}, err
	}
	owner := account{user: user}
	made, err := c.library.CreateCredential(owner, webauthn.SessionData{
		Challenge: parsed.Response.CollectedClientData.Challenge, RelyingPartyID: c.library.Config.RPID, UserID: owner.WebAuthnID(),
		UserVerification: protocol.VerificationRequired, CredParams: algorithms(),
	}, parsed)
	if err != nil {
		return Credential{}, OneTime{}, refused(err)
	}
	if len(made.ID) < 16 || len(made.ID) > 1023 || len(made.Authenticator.AAGUID) != 16 {
		return Credential{}, OneTime{}, refused(errors.New("the credential ID or the AAGUID has a wrong length"))
	}
	if err := checkKey(made.PublicKey); err != nil {
		return Credential{}, OneTime{}, refused(err)
	}
	return Credential{
		ID: made.ID, PublicKey: made.PublicKey, AAGUID: made.Authenticator.AAGUID,
		Synced: made.Flags.BackupEligible, SignCount: made.Authenticator.SignCount,
	}, once, nil
}

// BeginAssertion returns the options for navigator.credentials.get, as JSON (§5.1.9). Only the passkeys with the IDs
// allowed will do; with none, the user chooses among those that the device has for this server.
func (c *Ceremonies) BeginAssertion(binding Binding, allowed [][]byte) (string, error) {
	options := protocol.PublicKeyCredentialRequestOptions{
		Challenge: c.challenge(binding), Timeout: int(ceremonyTime.Milliseconds()), RelyingPartyID: c.library.Config.RPID,
		AllowedCredentials: descriptors(allowed), UserVerification: protocol.VerificationRequired,
	}
	return encode(options)
}

// Assert verifies the answer to [Ceremonies.BeginAssertion]. find returns what is stored of a credential; its error is
// passed on. Others wrap [ErrRefused].
func (c *Ceremonies) Assert(binding Binding, answer string, find func(id []byte) (Stored, error)) (Assertion, OneTime, error) {
	if err := strict(answer); err != nil {
		return Assertion{}, OneTime{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return Assertion{}, OneTime{}, refused(err)
	}
	once, err := c.check(binding, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return Assertion{}, OneTime{}, err
	}
	if binding.Subject == "" && len(parsed.Response.UserHandle) == 0 { // §7.2 step 6
		return Assertion{}, OneTime{}, refused(errors.New("the answer has no userHandle, and nobody was asked by name"))
	}
	stored, err := find(parsed.RawID)
	if err != nil {
		return Assertion{}, OneTime{}, err
	}
	syncedNow := parsed.Response.AuthenticatorData.Flags.HasBackupEligible()
	owner := account{user: User{Subject: stored.Subject}, credentials: []webauthn.Credential{{
		ID: stored.ID, PublicKey: stored.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: syncedNow},
		Authenticator: webauthn.Authenticator{AAGUID: stored.AAGUID, SignCount: stored.Credential.SignCount},
	}}}
	_, err = c.library.ValidateLogin(owner, webauthn.SessionData{
		Challenge: parsed.Response.CollectedClientData.Challenge, RelyingPartyID: c.library.Config.RPID, UserID: owner.WebAuthnID(),
		UserVerification: protocol.VerificationRequired,
	}, parsed)
	if err != nil {
		return Assertion{}, OneTime{}, refused(err)
	}
	return Assertion{Stored: stored, SignCount: parsed.Response.AuthenticatorData.Counter, SyncedNow: syncedNow}, once, nil
}

// checkKey refuses a key whose type and curve are not those of its algorithm (§5.8.5): the library verifies by the type.
func checkKey(key []byte) error {
	parsed, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return err
	}
	fits := false
	switch key := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		fits = key.Algorithm == int64(webauthncose.AlgES256) && key.Curve == int64(webauthncose.P256)
	case webauthncose.OKPPublicKeyData:
		fits = key.Algorithm == int64(webauthncose.AlgEdDSA) && key.Curve == int64(webauthncose.Ed25519)
	case webauthncose.RSAPublicKeyData:
		fits = key.Algorithm == int64(webauthncose.AlgRS256)
	}
	if !fits {
		return errors.New("the type or the curve of the key is not that of its algorithm")
	}
	return nil
}

// strict refuses JSON that two parsers could read in two ways.
func strict(answer string) error {
	if len(answer) > maxAnswer {
		return refused(errors.New("the answer is too long"))
	}
	var object map[string]any
	if err := strictjson.Decode([]byte(answer), &object); err != nil {
		return refused(err)
	}
	return nil
}

func refused(cause error) error {
	reason := cause.Error()
	if detailed, ok := errors.AsType[*protocol.Error](cause); ok && detailed.DevInfo != "" {
		reason += ": " + detailed.DevInfo
	}
	return fmt.Errorf("%w: %s", ErrRefused, reason)
}

func encode(options any) (string, error) {
	encoded, err := json.Marshal(options)
	if err != nil {
		return "", fmt.Errorf("passkey: %w", err)
	}
	return string(encoded), nil
}

func descriptors(ids [][]byte) []protocol.CredentialDescriptor {
	var all []protocol.CredentialDescriptor
	for _, id := range ids {
		all = append(all, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id})
	}
	return all
}

// account is a user as the library sees one.
type account struct {
	user        User
	credentials []webauthn.Credential
}

// WebAuthnID is the user handle: it reveals nothing about the user to an authenticator (§14.6.1).
func (a account) WebAuthnID() []byte {
	digest := sha256.Sum256([]byte("countersign user handle\x00" + a.user.Subject))
	return digest[:]
}

// WebAuthnName implements the library's interface.
func (a account) WebAuthnName() string { return a.user.Username }

// WebAuthnDisplayName implements the library's interface.
func (a account) WebAuthnDisplayName() string { return a.user.DisplayName }

// WebAuthnCredentials implements the library's interface.
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.credentials }
