package fapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"countersign/internal/oauth"
	"countersign/store"
)

// clientCredentials issues an access token to the client itself (RFC 6749 §4.4): validate, sign, claim, release. It
// stands for nobody else, so that no scope about a person can be in it, and no refresh token comes with it (§4.4.3).
func (s *Server) clientCredentials(ctx context.Context, c *call, binding confirmation) (answer, error) {
	request := &authorizationRequest{}
	if err := s.readDetails(c.client, c.form, request); err != nil {
		return answer{}, err
	}
	if standing := c.client.Metadata.DefaultAuthorizationDetails; len(standing) > 0 && !c.form.Has("authorization_details") {
		var err error
		if request.Details, err = s.details.read(string(standing), c.client.Metadata.AuthorizationDetailsTypes); err != nil {
			return answer{}, fmt.Errorf("fapi: default_authorization_details of the client %q: %s", c.client.ID, err)
		}
	}
	scopes, err := s.clientScopes(c, len(request.Details) > 0)
	if err != nil {
		return answer{}, err
	}
	request.Scopes = scopes
	if err := s.readResources(c.client, c.form, request); err != nil {
		return answer{}, err
	}
	detail := grantDetail{Details: request.Details, Resources: request.Resources}
	wanted, err := s.narrow(c, scopes, detail)
	if err != nil {
		return answer{}, err
	}
	stored, err := json.Marshal(detail)
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	grant := store.Grant{ID: newUUID(), ClientID: c.client.ID, Scopes: scopes, Detail: stored, CreatedAt: now}
	issued, err := s.issueAccessToken(ctx, c.client, grant, wanted, binding)
	if err != nil {
		return answer{}, err
	}
	grant.ExpiresAt = issued.record.ExpiresAt
	if err := s.store.IssueToken(ctx, grant, issued.record, c.uses...); err != nil {
		return answer{}, err
	}
	c.uses = nil
	return respond(issued, "", ""), nil
}

// clientScopes gives the scopes asked for, or all that the client can have without a person (RFC 6749 §3.3).
func (s *Server) clientScopes(c *call, withDetails bool) ([]string, error) {
	asked := strings.Fields(c.form.Get("scope"))
	for _, name := range asked {
		switch {
		case aboutPerson(name):
			return nil, oauth.Errorf(oauth.InvalidScope, "the scope %s is about a person, and there is none with %s", name, ClientCredentials)
		case !s.knowsScope(name) || !slices.Contains(c.client.scopes, name):
			return nil, oauth.Errorf(oauth.InvalidScope, "a scope asked for is unknown or not registered for this client; registered are: %s", strings.Join(c.client.scopes, " "))
		}
	}
	if len(asked) == 0 && !withDetails {
		for _, name := range c.client.scopes {
			if s.knowsScope(name) && !aboutPerson(name) {
				asked = append(asked, name)
			}
		}
	}
	if len(asked) == 0 && !withDetails {
		return nil, oauth.Errorf(oauth.InvalidScope, "this client has no scope that it could get without a person")
	}
	slices.Sort(asked)
	return slices.Compact(asked), nil
}

// aboutPerson tells whether a scope makes sense only for a person (OpenID Connect Core §5.4, §11).
func aboutPerson(scope string) bool {
	return scope == "openid" || scope == "offline_access" || len(claimsOf(scope)) > 0
}
