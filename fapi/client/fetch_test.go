package client

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Covers: LD-28, LX-05. A directory's key store does not say how long revoked keys go on.
func TestLD28Lifetime(t *testing.T) {
	header := ""
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", header)
		if _, err := io.WriteString(w, `{"keys":[]}`); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(site.Close)
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	for name, test := range map[string]struct {
		vouched           bool
		directory, header string
		want              time.Duration
	}{
		"refuses a day for a client of a directory":                         {false, "example", "max-age=86400", 5 * time.Minute},
		"accepts less for it":                                               {false, "example", "max-age=60", time.Minute},
		"accepts that nothing is said":                                      {false, "example", "", 0}, // 5 minutes then, too
		"accepts a day for who registered otherwise":                        {false, "", "max-age=86400", 24 * time.Hour},
		"refuses it where another with the address may be of a directory":   {true, "", "max-age=86400", 5 * time.Minute},
		"accepts less where another with the address may be of a directory": {true, "", "max-age=60", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			fetch := KeyFetcher("https://127.0.0.1:1", roots, test.vouched, time.Now)
			header = test.header
			_, age, err := fetch(asked(t.Context(), &Client{Directory: test.directory}), site.URL)
			if err != nil || age != test.want {
				t.Errorf("%s, %v", age, err)
			}
		})
	}
}
