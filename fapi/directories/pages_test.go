package directories

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"countersign/internal/outbound"
)

// Covers: LD-21. The United Kingdom's list comes in pages (RFC 7644 §3.4.2.4), and Australia's wants a header; one page that fails
// fails the list.
func TestLD21Pages(t *testing.T) {
	const size, total = 3, 8
	broken := 0
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, err := strconv.Atoi(r.URL.Query().Get("startIndex"))
		if err != nil {
			first = 1
		}
		if r.Header.Get("Authorization") != "Bearer token" || first == broken {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		var resources []any
		for i := first; i < first+size && i <= total; i++ {
			resources = append(resources, map[string]any{"urn:openbanking:organisation:1.0": map[string]any{"OBOrganisationId": fmt.Sprint("org-", i), "status": "Active"}})
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]any{"totalResults": total, "startIndex": first, "Resources": resources}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(site.Close)
	d := pagesOf(t, site)
	d.Authorization = func() (string, error) { return "Bearer token", nil }
	t.Run("accepts all pages", func(t *testing.T) {
		got, _, err := d.readPages(t.Context(), d.shape.Lists[0])
		if err != nil || len(got) != total || got["org-8"] != "Active" {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("refuses a list without one of its pages", func(t *testing.T) {
		broken = 4
		if got, _, err := d.readPages(t.Context(), d.shape.Lists[0]); err == nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("refuses a list without the header", func(t *testing.T) {
		d.Authorization = nil
		if got, _, err := d.readPages(t.Context(), d.shape.Lists[0]); err == nil {
			t.Errorf("%v", got)
		}
	})
}

// pagesOf is a directory whose list is at a site.
func pagesOf(t *testing.T, site *httptest.Server) *Directory {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	return &Directory{
		Settings: Settings{ParticipantsAddress: site.URL + "/"}, shape: shape(t, "uk"),
		client: outbound.New(outbound.Policy{AllowLoopback: true, Roots: roots, Now: time.Now, MaxBody: maxDocument}),
	}
}

// The entries of a list are bounded with all of its pages.
func TestEntriesOfAllPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pages int
		fails error
	}{"accepts a page": {1, nil}, "refuses a list whose pages have too many in all": {3, errTooMany}} {
		t.Run(name, func(t *testing.T) {
			const size = maxEntries/2 + 1
			site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, `{"totalResults":%d,"Resources":[`, test.pages*size)
				for i := range size {
					if i > 0 {
						fmt.Fprint(w, ",")
					}
					fmt.Fprintf(w, `{"urn:openbanking:organisation:1.0":{"OBOrganisationId":"%s-%d","status":"Active"}}`, r.URL.RawQuery, i)
				}
				fmt.Fprint(w, "]}")
			}))
			t.Cleanup(site.Close)
			d := pagesOf(t, site)
			got, _, err := d.readPages(t.Context(), d.shape.Lists[0])
			if !errors.Is(err, test.fails) || err == nil && len(got) != size {
				t.Errorf("%d, %v", len(got), err)
			}
		})
	}
}
