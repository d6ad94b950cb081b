package ceremony

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"countersign/signer"
	"countersign/store"
)

// Need is a member of a client's registration that names an algorithm of this server's keys.
type Need struct{ ClientID, Member string }

// Needing lists what clients that are not disabled have registered that only an active key of an algorithm, for one of these
// uses, can do.
func Needing(clients []store.Client, alg string, uses []string) ([]Need, error) {
	var found []Need
	for _, c := range clients {
		if c.Disabled {
			continue
		}
		var registered struct {
			IDToken       string `json:"id_token_signed_response_alg"`
			UserInfo      string `json:"userinfo_signed_response_alg"`
			Authorization string `json:"authorization_signed_response_alg"`
			Introspection string `json:"introspection_signed_response_alg"`
			RequestObject string `json:"request_object_encryption_alg"`
		}
		if err := json.Unmarshal(c.Metadata, &registered); err != nil {
			return nil, fmt.Errorf("the registration of client %s: %w", c.ID, err)
		}
		base, _, _ := strings.Cut(registered.RequestObject, "+") // ECDH-ES+A256KW is for a key of ECDH-ES
		for _, each := range []struct {
			member, alg string
			use         signer.Use
		}{
			{"id_token_signed_response_alg", registered.IDToken, signer.UseIDToken},
			{"userinfo_signed_response_alg", registered.UserInfo, signer.UseIDToken},
			{"authorization_signed_response_alg", registered.Authorization, signer.UseResponse},
			{"introspection_signed_response_alg", registered.Introspection, signer.UseIntrospection},
			{"request_object_encryption_alg", base, signer.UseRequestObject},
		} {
			if each.alg == alg && slices.Contains(uses, string(each.use)) {
				found = append(found, Need{c.ID, each.member})
			}
		}
	}
	return found, nil
}

// parting reports what ends with the last active key of an algorithm, or refuses what would end the service.
func (c *Ceremony) parting(ctx context.Context, last store.Key, keys []store.Key, lost []string) error {
	if signer.Algorithm(last.Algorithm) == c.AccessTokens && slices.Contains(lost, string(signer.UseAccessToken)) {
		return fmt.Errorf("the key %s is the last that signs access tokens with %s, which tokens.access_token_algorithm names: set that to an algorithm whose key is active, restart the servers, and retire the key then",
			last.ID, last.Algorithm)
	}
	others := slices.DeleteFunc(slices.Clone(keys), func(k store.Key) bool {
		return k.ID == last.ID || k.State != string(signer.Active) || signer.Algorithm(k.Algorithm).Decrypts()
	})
	if len(others) == 0 && !signer.Algorithm(last.Algorithm).Decrypts() {
		return fmt.Errorf("the key %s is the last that signs anything: no server would start without; make another first", last.ID)
	}
	c.Report(Event{Step: Loses, Key: last, Uses: lost})
	if slices.Contains(lost, string(signer.UseEvidence)) && !slices.ContainsFunc(others, func(k store.Key) bool { return slices.Contains(k.Uses, string(signer.UseEvidence)) }) {
		c.Report(Event{Step: Unsealed, Key: last})
	}
	if slices.Contains(lost, string(signer.UsePush)) {
		c.Report(Event{Step: Unpushed, Key: last})
	}
	clients, err := c.Clients.Clients(ctx)
	if err != nil {
		return err
	}
	needs, err := Needing(clients, last.Algorithm, lost)
	if err != nil {
		return err
	}
	if signer.Algorithm(last.Algorithm) == signer.RSAOAEP256 { // opens RSA-OAEP too
		last256 := last
		last256.Algorithm = string(signer.RSAOAEP)
		more, err := Needing(clients, last256.Algorithm, lostWith(last256, keys))
		if err != nil {
			return err
		}
		needs = append(needs, more...)
	}
	for _, need := range needs {
		c.Report(Event{Step: Needed, Key: last, Need: need})
	}
	return nil
}

// lostWith are the uses that no other active key of the algorithm serves.
func lostWith(retired store.Key, keys []store.Key) (lost []string) {
	for _, use := range retired.Uses {
		served := slices.ContainsFunc(keys, func(k store.Key) bool {
			return k.ID != retired.ID && k.State == string(signer.Active) && signer.Algorithm(k.Algorithm).Does(signer.Algorithm(retired.Algorithm)) && slices.Contains(k.Uses, use)
		})
		if !served {
			lost = append(lost, use)
		}
	}
	return lost
}
