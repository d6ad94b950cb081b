package discovery_test

import (
	"slices"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: KD-18. TestKD18UILocales: the languages of the pages are in the discovery document, in their order, and each is one in which
// pages are; a server without pages says nothing of them.
func TestKD18UILocales(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	list, _ := w.Document()["ui_locales_supported"].([]any)
	if len(list) != 6 || list[0] != "en" || !slices.Contains(list, any("pt-BR")) {
		t.Errorf("%v", list)
	}
	for _, each := range list {
		t.Run("accepts "+each.(string), func(t *testing.T) {
			page, err := w.Browser().HTTP.Get(w.Issuer + "/device/settings?ui_locales=" + each.(string))
			if err != nil {
				t.Fatal(err)
			}
			page.Body.Close()
			if page.Header.Get("Content-Language") != each {
				t.Errorf("%d %v", page.StatusCode, page.Header)
			}
		})
	}
	t.Run("refuses to say something of pages that are not there", func(t *testing.T) {
		plain := fapitest.NewWorld(t)
		if _, there := plain.Document()["ui_locales_supported"]; there {
			t.Error("it says something")
		}
	})
}
