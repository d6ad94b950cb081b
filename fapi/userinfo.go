package fapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"countersign/internal/oauth"
	"countersign/store"
)

// claimsOf lists the claims that each scope stands for (OpenID Connect Core §5.4).
func claimsOf(scope string) []string {
	switch scope {
	case "profile":
		return []string{"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
			"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"}
	case "email":
		return []string{"email", "email_verified"}
	case "phone":
		return []string{"phone_number", "phone_number_verified"}
	case "address":
		return []string{"address"}
	}
	return nil
}

// userInfo is the UserInfo endpoint (OpenID Connect Core §5.3).
func (s *Server) userInfo(ctx context.Context, access Access) (any, error) {
	user, err := s.store.User(ctx, access.Subject)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.Disabled {
		gone := oauth.Errorf(oauth.InvalidToken, "the access token's user is disabled or gone").WithStatus(http.StatusUnauthorized)
		return nil, gone.Because(err)
	}
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if len(user.Claims) > 0 {
		if err := json.Unmarshal(user.Claims, &all); err != nil {
			return nil, err
		}
	}
	released := map[string]any{"sub": access.Subject}
	for _, scope := range access.Scopes {
		for _, name := range claimsOf(scope) {
			if value, ok := all[name]; ok && !slices.Contains([]string{"null", `""`}, string(value)) {
				released[name] = value
			}
		}
	}
	return released, nil
}
