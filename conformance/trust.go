package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"

	"countersign/conformance/suite"
)

// trustSuite adds the certificate of a suite on loopback to what the server trusts when it notifies clients.
func trustSuite(ctx context.Context, o options, say func(string, ...any)) error {
	address, err := url.Parse(o.suite)
	if err != nil {
		return err
	}
	shown, found, err := suite.ShownOnLoopback(ctx, address)
	if err != nil || !found || o.outboundCA == "" {
		return err
	}
	trusted, err := os.ReadFile(o.outboundCA)
	if err != nil {
		return fmt.Errorf("-outbound-ca: %w", err)
	}
	for rest := trusted; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if bytes.Equal(block.Bytes, shown.Raw) {
			return nil
		}
	}
	trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shown.Raw})...)
	if err := os.WriteFile(o.outboundCA, trusted, 0o600); err != nil {
		return fmt.Errorf("-outbound-ca: %w", err)
	}
	say("suite   added to what the server trusts: %s (a server that runs already has to be started again)", o.outboundCA)
	return nil
}

// trustStandIn adds the authority of a stand-in to what the server trusts when it fetches keys, in the place of an earlier one.
func trustStandIn(o options, authority []byte) error {
	if o.outboundCA == "" {
		return nil
	}
	trusted, err := os.ReadFile(o.outboundCA)
	if err != nil {
		return fmt.Errorf("-outbound-ca: %w", err)
	}
	added, _ := pem.Decode(authority)
	parsed, err := x509.ParseCertificate(added.Bytes)
	if err != nil {
		return err
	}
	var kept []byte
	for rest := trusted; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if old, err := x509.ParseCertificate(block.Bytes); err == nil && old.Subject.String() == parsed.Subject.String() {
			continue
		}
		kept = append(kept, pem.EncodeToMemory(block)...)
	}
	return os.WriteFile(o.outboundCA, append(kept, authority...), 0o600)
}
