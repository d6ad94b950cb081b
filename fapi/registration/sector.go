package registration

import (
	"context"
	"errors"
	"slices"

	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/outbound"
	"countersign/internal/strictjson"
)

// maxSectorAddresses bounds the list at a sector_identifier_uri.
const maxSectorAddresses = 1000

// checkSector fetches the list at a client's sector_identifier_uri, if it registers one, and demands that it contains
// every redirect URI (OpenID Connect Core §8.1): it proves that they belong to one sector. For a client with pairwise
// subjects and the CIBA grant it has to contain the jwks_uri (CIBA Core §4), whose keys the client authenticates with.
func (h *Handler) checkSector(ctx context.Context, metadata client.Metadata) error {
	if metadata.SectorIdentifierURI == "" {
		return nil
	}
	refuse := func(cause error, text string) error {
		return oauth.Errorf(oauth.InvalidClientMetadata, "sector_identifier_uri: %s", text).Because(cause)
	}
	byKeys := metadata.SubjectType == client.SubjectPairwise && slices.Contains(metadata.GrantTypes, profile.CIBA)
	if byKeys && !metadata.ProvesJWKSURI() {
		return refuse(nil, "pairwise subjects with CIBA need a jwks_uri in the list at this address, and a client that authenticates"+
			" with its keys (CIBA Core §4)")
	}
	document, err := h.config.Fetcher.Get(ctx, metadata.SectorIdentifierURI, "application/json")
	if failed, ok := errors.AsType[*outbound.Error](err); ok && failed.Busy() {
		return endpoint.Busy("sector_identifier_uri", err)
	}
	if err != nil {
		return refuse(err, "the document at this address could not be fetched")
	}
	var addresses []string
	if err := strictjson.Decode(document.Body, &addresses); err != nil || len(addresses) > maxSectorAddresses {
		return refuse(err, "the document at this address must be a JSON array of redirect URIs")
	}
	for _, address := range metadata.RedirectURIs {
		if !slices.Contains(addresses, address) {
			return oauth.Errorf(oauth.InvalidRedirectURI,
				"redirect_uris: %q is not in the list at sector_identifier_uri (OpenID Connect Core §8.1)", address)
		}
	}
	if byKeys && !slices.Contains(addresses, metadata.JWKSURI) {
		return refuse(nil, "the list at this address does not contain the jwks_uri (CIBA Core §4)")
	}
	return nil
}
