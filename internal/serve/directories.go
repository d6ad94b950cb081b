package serve

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"countersign/fapi/client"
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
			Policy: policy,
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

// directoryPolicy is how a directory is reached. Errors begin with keys of the configuration.
func (s *server) directoryPolicy(key string, d config.Directory) (outbound.Policy, error) {
	policy := outbound.Policy{Now: s.Now, AllowLoopback: client.OnLoopback(s.Config.Issuer)}
	for name := range strings.FieldsSeq(d.Networks) {
		network, err := netip.ParsePrefix(name)
		if err == nil {
			err = outbound.CheckNetwork(network)
		}
		if err != nil {
			return policy, fmt.Errorf("%snetworks: %q is no network that can be reached, such as 10.1.2.0/28: %w", key, name, err)
		}
		policy.Networks = append(policy.Networks, network)
	}
	var err error
	if policy.Roots, err = authorities(key+"ca_file", d.CAFile); err != nil {
		return policy, err
	}
	if d.CAFile == "" {
		if policy.Roots, err = outboundRoots(s.Config.Outbound.CAFile); err != nil {
			return policy, err
		}
	}
	show := func() (*tls.Certificate, error) {
		return shownCertificate(key+"certificate_file", d.CertificateFile, key+"key_file", d.KeyFile)
	}
	shown, err := show()
	if err != nil || shown == nil {
		return policy, err
	}
	policy.Certificate = new(atomic.Pointer[tls.Certificate])
	policy.Certificate.Store(shown)
	s.reload.add(key+"certificate_file, "+key+"key_file", []config.Secret{config.Secret(d.CertificateFile), d.KeyFile}, func() (func(), error) {
		changed, err := show()
		return func() { policy.Certificate.Store(changed) }, err
	})
	return policy, nil
}
