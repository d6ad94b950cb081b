package pool

import (
	"testing"

	"countersign/internal/fips/fipstest"
)

// Covers: NM-114. TestNM114PostgreSQL: MD5 is refused before it is computed.
func TestNM114PostgreSQL(t *testing.T) {
	t.Run("accepts what else the URL requires", func(t *testing.T) {
		for own, want := range map[string]string{
			"": "!md5", "!password": "!password,!md5", "!md5": "!md5", "!password,!md5": "!password,!md5", "scram-sha-256": "scram-sha-256",
		} {
			if got := withoutMD5(own); got != want {
				t.Errorf("%q becomes %q, want %q", own, got, want)
			}
		}
	})
	t.Run("refuses MD5 where it is enforced, whatever the URL says", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		for own, want := range map[string]string{"": "!md5", "&require_auth=md5": "scram-sha-256", "&require_auth=md5,scram-sha-256": "scram-sha-256"} {
			target := Behind(func() (string, error) { return "postgres://a@localhost/b?sslmode=disable" + own, nil }, nil)
			settings, err := target.Settings()
			if err != nil || settings.RequireAuth != want {
				t.Errorf("%q: %v, %v", own, settings, err)
			}
		}
	})
}
