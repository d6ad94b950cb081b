package config

import (
	"strings"
	"testing"
)

// Covers: KX-14. TestKX14Caches: each bound of what is remembered is read, and none is so small or so large that it is no bound.
func TestKX14Caches(t *testing.T) {
	base := strings.TrimRight(read(t, "testdata/good.toml"), "\n") + "\n\n[caches]\n"
	t.Run("accepts bounds", func(t *testing.T) {
		c, err := parse("c.toml", []byte(base+"clients = 100\nclient_keys = 4096\nkey_sets = 16\nkeys = 1000\nrevocations = 1_000_000\n"), false)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Caches; got.Clients != 100 || got.ClientKeys != 4096 || got.KeySets != 16 || got.Keys != 1000 || got.Revocations != 1_000_000 {
			t.Errorf("%+v", got)
		}
	})
	for key, beyond := range map[string][]string{
		"clients": {"99", "1000001"}, "client_keys": {"0", "4097"}, "key_sets": {"15", "100001"}, "keys": {"999", "10000001"}, "revocations": {"-1", "1000001"},
	} {
		for _, value := range beyond {
			t.Run("refuses "+key+" = "+value, func(t *testing.T) {
				if _, err := parse("c.toml", []byte(base+key+" = "+value+"\n"), false); err == nil || !strings.Contains(err.Error(), "caches."+key+" = "+value) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}
