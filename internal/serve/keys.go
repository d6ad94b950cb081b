package serve

import (
	"time"

	"countersign/fapi/client"
	"countersign/internal/config"
	"countersign/internal/jose"
)

// KeyFetcher fetches the key sets of clients as the server does.
func KeyFetcher(c *config.Config, now func() time.Time) (jose.Fetch, error) {
	roots, err := outboundRoots(c.Outbound.CAFile)
	if err != nil {
		return nil, err
	}
	return client.KeyFetcher(c.Issuer, roots, len(c.Directories) > 0, now), nil
}
