package pool

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// protect refuses a connection that could be read or intercepted: to a host that is neither this machine nor a
// socket only TLS with a verified name is used. libpq's own default would fall back to plain text.
func protect(config *pgx.ConnConfig) error {
	if err := protected(config.Host, config.TLSConfig); err != nil {
		return err
	}
	for _, other := range config.Fallbacks {
		if err := protected(other.Host, other.TLSConfig); err != nil {
			return err
		}
	}
	return nil
}

func protected(host string, settings *tls.Config) error {
	if settings != nil && !settings.InsecureSkipVerify || local(host) {
		return nil
	}
	return fmt.Errorf("postgresql: the connection to %q would not be protected: add sslmode=verify-full to the database URL, and sslrootcert=FILE if its certificate is from an authority of your own", host)
}

// local reports whether a host is a socket's directory or this machine.
func local(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
