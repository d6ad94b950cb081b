package fapi

import (
	"cmp"
	"context"
	"slices"

	"countersign/internal/jose"
	"countersign/internal/oauth"
)

// encryption is how a client wants one kind of answer encrypted (OpenID Connect Registration §2). Without alg it is not.
type encryption struct{ alg, enc string }

// effective fills in the enc that stands for none (OpenID Connect Registration §2).
func (e encryption) effective() encryption {
	e.enc = cmp.Or(e.enc, jose.A128CBCHS256)
	return e
}

// idTokenEncryption is how the client wants its ID tokens.
func (m *Metadata) idTokenEncryption() encryption {
	return encryption{m.IDTokenEncryptedResponseAlg, m.IDTokenEncryptedResponseEnc}
}

// userInfoEncryption is how the client wants its UserInfo answers.
func (m *Metadata) userInfoEncryption() encryption {
	return encryption{m.UserInfoEncryptedResponseAlg, m.UserInfoEncryptedResponseEnc}
}

// responseEncryption is how the client wants its authorization responses (JARM §3).
func (m *Metadata) responseEncryption() encryption {
	return encryption{m.AuthorizationEncryptedResponseAlg, m.AuthorizationEncryptedResponseEnc}
}

// introspectionEncryption is how a resource server wants what introspection answers (RFC 9701 §6).
func (m *Metadata) introspectionEncryption() encryption {
	return encryption{m.IntrospectionEncryptedResponseAlg, m.IntrospectionEncryptedResponseEnc}
}

// checkEncryption checks what the client wants encrypted, and that there is a key to encrypt to.
func (c *Client) checkEncryption(mistake func(string, string, ...any)) {
	m := &c.Metadata
	for _, each := range []struct {
		member string
		wanted encryption
	}{
		{"id_token_encrypted_response", m.idTokenEncryption()},
		{"userinfo_encrypted_response", m.userInfoEncryption()},
		{"authorization_encrypted_response", m.responseEncryption()},
		{"introspection_encrypted_response", m.introspectionEncryption()},
	} {
		alg, enc := each.wanted.alg, each.wanted.enc
		switch {
		case alg == "" && enc != "":
			mistake(each.member+"_enc", "needs %s_alg beside it (OpenID Connect Registration §2)", each.member)
		case alg == "":
		case !slices.Contains(jose.EncryptionAlgorithms(), alg):
			checkAllowed(each.member+"_alg", []string{alg}, jose.EncryptionAlgorithms(), mistake)
		case enc != "" && !slices.Contains(jose.ContentEncryptions(), enc):
			checkAllowed(each.member+"_enc", []string{enc}, jose.ContentEncryptions(), mistake)
		case m.JWKSURI == "" && !c.keys.Receive(alg):
			mistake(each.member+"_alg", "the client's jwks has no key to encrypt to with %s: add one with use enc, or give jwks_uri", alg)
		}
	}
	if m.UserInfoEncryptedResponseAlg != "" && m.UserInfoSignedResponseAlg == "" {
		mistake("userinfo_encrypted_response_alg", "needs userinfo_signed_response_alg beside it: what is encrypted here is signed first")
	}
}

// encryptFor encrypts a signed token to a client that wants it so; the others get it as it is (RFC 7519 §11.2: signed, then
// encrypted).
func (s *Server) encryptFor(ctx context.Context, client *Client, wanted encryption, signed string) (string, error) {
	if wanted.alg == "" {
		return signed, nil
	}
	keys, err := s.keysOf(ctx, client)
	if err != nil {
		return "", oauth.Errorf(oauth.InvalidRequest, "the answer cannot be encrypted to the client: %v", err).Because(err)
	}
	if !keys.Receive(wanted.alg) {
		return "", oauth.Errorf(oauth.InvalidRequest, "the answer cannot be encrypted to the client: its key set has no key for %s", wanted.alg)
	}
	wanted = wanted.effective()
	return keys.Encrypt([]byte(signed), wanted.alg, wanted.enc, "JWT")
}
