package client

import (
	"encoding/json"
	"net/url"
	"strings"
)

// Sectors lists the hosts that the client of a registration may have been the sector of (OpenID Connect Core §8.1), whatever its subject
// type and grants are now. A registration that cannot be read has none.
func Sectors(metadata json.RawMessage) (hosts []string) {
	var m struct {
		RedirectURIs        []string `json:"redirect_uris"`
		SectorIdentifierURI string   `json:"sector_identifier_uri"`
		JWKSURI             string   `json:"jwks_uri"`
	}
	if json.Unmarshal(metadata, &m) != nil {
		return nil
	}
	for _, address := range append(m.RedirectURIs, m.SectorIdentifierURI, m.JWKSURI) {
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
			hosts = append(hosts, strings.ToLower(u.Hostname()))
		}
	}
	return hosts
}
