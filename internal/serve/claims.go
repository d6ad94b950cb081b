package serve

import (
	"strings"
	"time"

	"countersign/fapi/claims"
	"countersign/internal/claimsource"
	"countersign/internal/config"
)

// ClaimsSource is the source of claims about users that a configuration names, or nil.
func ClaimsSource(c *config.Config, now func() time.Time) (*claims.Source, error) {
	return examiner(c, now).claimsSource()
}

// claimsSource makes the source of claims about users; nil is the built-in directory.
func (s *server) claimsSource() (*claims.Source, error) {
	c := s.Config.ClaimsSource
	if c.Address == "" {
		return nil, nil
	}
	policy, err := s.policy(reach{
		prefix: "claims_source.", timeout: c.Timeout.Std(), networks: c.Networks, authorities: c.CAFile, certificate: c.CertificateFile, key: c.KeyFile,
	})
	if err != nil {
		return nil, err
	}
	made, err := claimsource.New(claimsource.Config{
		Address: c.Address, Policy: policy, Claims: strings.Fields(c.Claims), CheckActive: c.CheckActive, Cache: c.Cache.Std(),
		CacheEntries: c.CacheEntries, AtOnce: c.AtOnce, Now: s.Now, Log: s.log, TracerProvider: s.traces,
	})
	if err != nil {
		return nil, err
	}
	return made.Claims(), nil
}
