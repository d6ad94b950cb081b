package client

import (
	"cmp"
	"slices"

	"countersign/internal/jose"
)

// Encryption is how one kind of response is encrypted (OpenID Connect Registration §2); not without Alg.
type Encryption struct{ Alg, Enc string }

// Effective fills in the default enc (OpenID Connect Registration §2).
func (e Encryption) Effective() Encryption {
	e.Enc = cmp.Or(e.Enc, jose.A128CBCHS256)
	return e
}

// IDTokenEncryption returns the client's encryption of ID tokens.
func (m *Metadata) IDTokenEncryption() Encryption {
	return Encryption{m.IDTokenEncryptedResponseAlg, m.IDTokenEncryptedResponseEnc}
}

// UserInfoEncryption returns the client's encryption of UserInfo responses.
func (m *Metadata) UserInfoEncryption() Encryption {
	return Encryption{m.UserInfoEncryptedResponseAlg, m.UserInfoEncryptedResponseEnc}
}

// ResponseEncryption returns the client's encryption of authorization responses (JARM §3).
func (m *Metadata) ResponseEncryption() Encryption {
	return Encryption{m.AuthorizationEncryptedResponseAlg, m.AuthorizationEncryptedResponseEnc}
}

// IntrospectionEncryption returns a resource server's encryption of introspection responses (RFC 9701 §6).
func (m *Metadata) IntrospectionEncryption() Encryption {
	return Encryption{m.IntrospectionEncryptedResponseAlg, m.IntrospectionEncryptedResponseEnc}
}

// checkEncryption checks the registered encryption algorithms, and that there is a key to encrypt to.
func (c *Client) checkEncryption(problem func(string, string, ...any)) {
	m := &c.Metadata
	for _, each := range []struct {
		member string
		wanted Encryption
	}{
		{"id_token_encrypted_response", m.IDTokenEncryption()},
		{"userinfo_encrypted_response", m.UserInfoEncryption()},
		{"authorization_encrypted_response", m.ResponseEncryption()},
		{"introspection_encrypted_response", m.IntrospectionEncryption()},
	} {
		alg, enc := each.wanted.Alg, each.wanted.Enc
		switch {
		case alg == "" && enc != "":
			problem(each.member+"_enc", "needs %s_alg beside it (OpenID Connect Registration §2)", each.member)
		case alg == "":
		case !slices.Contains(jose.EncryptionAlgorithms(), alg):
			checkAllowed(each.member+"_alg", []string{alg}, jose.EncryptionAlgorithms(), problem)
		case enc != "" && !slices.Contains(jose.ContentEncryptions(), enc):
			checkAllowed(each.member+"_enc", []string{enc}, jose.ContentEncryptions(), problem)
		case m.JWKSURI == "" && !c.Keys.Receive(alg):
			problem(each.member+"_alg", "the client's jwks has no key to encrypt to with %s: add one with use enc, or give jwks_uri%s", alg, jose.Hint(c.LeftOut(c.Keys)))
		}
	}
	if m.UserInfoEncryptedResponseAlg != "" && m.UserInfoSignedResponseAlg == "" {
		problem("userinfo_encrypted_response_alg",
			"needs userinfo_signed_response_alg beside it: responses are signed, then encrypted")
	}
}
