package outbound

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// Covers: SP-04, SP-01. A server that is asked for something proves its name by its certificate's alternative names; the
// common name, which is right in all of these certificates, counts for nothing (RFC 9525 §2).
func TestSP04ServerNames(t *testing.T) {
	now := time.Now()
	get := func(certified string, at time.Time, alter func(*site)) error {
		server := serveTLS(t, &tls.Config{}, certified, at, answer(canary))
		if alter != nil {
			alter(server)
		}
		_, err := server.client(Policy{}).Get(t.Context(), server.address, "")
		return err
	}
	for _, certified := range []string{name, "*.example", strings.ToUpper(name)} {
		t.Run("accepts a certificate for "+certified, func(t *testing.T) {
			if err := get(certified, now, nil); err != nil {
				t.Error(err)
			}
		})
	}
	for _, certified := range []string{"other.example", "keys.example.attacker.example", "*.keys.example", "127.0.0.1", "example"} {
		t.Run("refuses a certificate for "+certified, func(t *testing.T) { refused(t, get(certified, now, nil), "for another name") })
	}
	t.Run("refuses one by an authority that is not trusted", func(t *testing.T) {
		refused(t, get(name, now, func(s *site) { s.roots = serve(t, answer("")).roots }), "authority")
	})
	t.Run("refuses one that is over", func(t *testing.T) { refused(t, get(name, now.Add(-2*time.Hour), nil), "expired") })
	t.Run("refuses a server without TLS", func(t *testing.T) {
		server := serve(t, answer(canary))
		_, err := server.client(Policy{}).Get(t.Context(), strings.Replace(server.address, "https:", "http:", 1), "")
		refused(t, err, "https")
		if count := server.connections.Load(); count != 0 {
			t.Errorf("%d connections were made", count)
		}
	})
}
