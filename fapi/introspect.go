package fapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/store"
)

// introspection is the answer of RFC 7662 §2.2. Of a token that is not active nothing else is told.
type introspection struct {
	Active       bool           `json:"active"`
	Issuer       string         `json:"iss,omitempty"`
	Subject      string         `json:"sub,omitempty"`
	Audience     *jose.Audience `json:"aud,omitempty"`
	ClientID     string         `json:"client_id,omitempty"`
	ID           string         `json:"jti,omitempty"`
	IssuedAt     int64          `json:"iat,omitempty"`
	Expires      int64          `json:"exp,omitempty"`
	Scope        string         `json:"scope,omitempty"`
	TokenType    string         `json:"token_type,omitempty"`
	AuthTime     int64          `json:"auth_time,omitempty"`
	ACR          string         `json:"acr,omitempty"`
	AMR          []string       `json:"amr,omitempty"`
	Details      details        `json:"authorization_details,omitempty"` // RFC 9396 §9.2
	Confirmation *confirmation  `json:"cnf,omitempty"`                   // RFC 8705 §3.2, RFC 9449 §6.2
}

// introspect is the introspection endpoint (RFC 7662 §2). Only resource servers may ask, and each only about access
// tokens that are for it: to anyone else a token is as good as unknown (FAPI 2.0 Message Signing §6.2).
func (s *Server) introspect(ctx context.Context, c *call) (answer, error) {
	identifiers := c.client.Metadata.ResourceIdentifiers
	if len(identifiers) == 0 {
		return answer{}, oauth.Errorf(oauth.UnauthorizedClient, "only resource servers may introspect; an operator registers one with resource_identifiers")
	}
	token := c.form.Get("token")
	if token == "" {
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "token is missing (RFC 7662 §2.1)")
	}
	active, err := s.activeToken(ctx, c, token)
	if errors.Is(err, errInactive) {
		// The verb that would have claimed them found nothing to go with.
		if err := s.store.ConsumeOneTime(ctx, c.uses...); err != nil {
			return answer{}, err
		}
		c.uses = nil
		return s.introspected(ctx, c, introspection{})
	}
	if err != nil {
		return answer{}, err
	}
	return s.introspected(ctx, c, active)
}

// errInactive is a token of which nothing may be told.
var errInactive = errors.New("fapi: not an active token for this resource server")

func (s *Server) activeToken(ctx context.Context, c *call, token string) (introspection, error) {
	claims, err := s.verifyAccessToken(ctx, token)
	if errors.Is(err, errNotOurs) {
		return introspection{}, errInactive
	}
	if err != nil {
		return introspection{}, err
	}
	var audience []string
	for _, resource := range claims.Audience.Values {
		if slices.Contains(c.client.Metadata.ResourceIdentifiers, resource) {
			audience = append(audience, resource)
		}
	}
	if len(audience) == 0 || s.now().Unix() >= claims.Expires {
		return introspection{}, errInactive
	}
	grant, err := s.store.AccessGrant(ctx, store.DigestOf(claims.ID), c.uses...)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired), errors.Is(err, store.ErrRevoked):
		return introspection{}, errInactive
	case err != nil:
		return introspection{}, err
	}
	c.uses = nil
	if _, _, err := s.parties(ctx, claims.ClientID, grant.Subject); errors.Is(err, errGone) {
		return introspection{}, errInactive
	} else if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, Issuer: claims.Issuer, Subject: claims.Subject,
		Audience: &jose.Audience{Values: audience, Single: len(audience) == 1},
		ClientID: claims.ClientID, ID: claims.ID, IssuedAt: claims.IssuedAt, Expires: claims.Expires,
		Scope:     strings.Join(s.meaningful(strings.Fields(claims.Scope), audience), " "),
		TokenType: claims.Confirmation.tokenType(), AuthTime: claims.AuthTime, ACR: claims.ACR, AMR: claims.AMR,
		Details: claims.Details.forResource(audience), Confirmation: &claims.Confirmation,
	}, nil
}
