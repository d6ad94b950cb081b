package serve

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"countersign/fapi/directories"
	"countersign/internal/config"
	"countersign/internal/outbound"
)

// directories are the directories of participants.
func (s *server) directories() ([]directories.Settings, error) {
	var all []directories.Settings
	for i, d := range s.Config.Directories {
		policy, err := s.directoryPolicy(fmt.Sprintf("directories[%d].", i), d)
		if err != nil {
			return nil, err
		}
		settings := directories.Settings{
			Name: d.Name, Issuer: d.Issuer, KeysAddress: d.KeysAddress, Kind: d.Kind, ParticipantsAddress: d.ParticipantsAddress, Profile: d.Profile,
			Audiences: strings.Fields(d.Audiences), TrustStore: d.TrustStore, Quota: d.Quota, Refresh: d.Refresh.Std(), Outage: d.Outage.Std(),
			Policy: policy, Token: directories.TokenSettings{Address: d.TokenAddress, ClientID: d.TokenClientID, Scope: d.TokenScope},
		}
		if file := d.Authorization; file != "" {
			settings.Authorization = func() (string, error) {
				value, err := file.Read()
				return string(value), err
			}
		}
		all = append(all, settings)
	}
	return all, nil
}

// Directories are the directories of participants of a configuration, for who examines them without a server.
func Directories(c *config.Config, now func() time.Time) ([]directories.Settings, error) {
	return examiner(c, now).directories()
}

// examiner has what a configuration says, without what a server keeps.
func examiner(c *config.Config, now func() time.Time) *server {
	return &server{Options: Options{Config: c, Now: now, Log: io.Discard}, log: slog.New(slog.DiscardHandler)}
}

// directoryPolicy is how a directory is reached: without authorities of its own by those for all that is fetched. Errors begin with keys
// of the configuration, which begin with prefix.
func (s *server) directoryPolicy(prefix string, d config.Directory) (outbound.Policy, error) {
	policy, err := s.policy(reach{prefix: prefix, networks: d.Networks, authorities: d.CAFile, certificate: d.CertificateFile, key: d.KeyFile})
	if err == nil && d.CAFile == "" {
		policy.Roots, err = outboundRoots(s.Config.Outbound.CAFile)
	}
	return policy, err
}
