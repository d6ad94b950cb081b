// Package reread reads ID tokens that were verified before they were sealed.
package reread

import (
	"countersign/rp/client"
	"countersign/rp/internal/signed"
)

// Identity is what an ID token says (OpenID Connect Core §2). It verifies nothing.
func Identity(idToken string) (*client.Identity, error) {
	told, err := signed.Reread(idToken)
	if err != nil {
		return nil, err
	}
	return &client.Identity{
		Issuer: told.Issuer, Subject: told.Subject, Audience: told.Audience, ExpiresAt: told.Expires, IssuedAt: told.IssuedAt,
		AuthTime: told.AuthTime, ACR: told.ACR, AMR: told.AMR, SessionID: told.SessionID, SessionExpiresAt: told.SessionExpires, Raw: told.Payload,
	}, nil
}
