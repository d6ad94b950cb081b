package change_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/config"
	"countersign/internal/config/change"
	"countersign/internal/config/value"
)

type entry struct {
	Name string     `toml:"name"`
	File value.File `toml:"file"`
}

type sample struct {
	Issuer string `toml:"issuer" reload:"restart"`
	Name   string `toml:"name" reload:"live"`
	Mixed  struct {
		Address string       `toml:"address" reload:"restart"`
		Key     value.Secret `toml:"key" reload:"live"`
	} `toml:"mixed" reload:"each"`
	Signer struct {
		Token   string            `toml:"token"`
		Words   map[string]string `toml:"words"`
		Derived string
	} `toml:"signer" reload:"restart"`
	Entries []entry `toml:"entries" reload:"live"`
	hidden  int
}

func made() *sample {
	s := &sample{Issuer: "a", Name: "b", Entries: []entry{{"one", "/1"}, {"two", ""}}}
	s.Mixed.Address, s.Mixed.Key, s.Signer.Token, s.Signer.Derived = "c", "/k", "d", "e"
	return s
}

// Covers: NM-85. No key of the configuration is forgotten.
func TestEveryKeySays(t *testing.T) {
	t.Run("accepts the configuration: every key says whether a change needs a restart", func(t *testing.T) {
		if missing := change.Untagged(reflect.TypeFor[config.Config]()); len(missing) > 0 {
			t.Errorf(`add reload:"live" or reload:"restart" to the fields of %q, or of their tables`, missing)
		}
	})
	t.Run("refuses a key that does not say, in a table that leaves it to each", func(t *testing.T) {
		type forgetful struct {
			A string `toml:"a"`
			B struct {
				C string `toml:"c" reload:"live"`
				D string `toml:"d"`
				E struct {
					F string `toml:"f"`
				} `toml:"e"`
			} `toml:"b" reload:"each"`
			G []entry `toml:"g"`
			H string  `toml:"h" reload:"each"`
			I string  `toml:"i" reload:"sometimes"`
		}
		want := []string{"a", "b.d", "b.e", "g", "h", "i"}
		if got := change.Untagged(reflect.TypeFor[forgetful]()); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		for key, v := range change.Of(&forgetful{G: []entry{{}}}) {
			if v.Live != (key == "b.c") {
				t.Errorf("%s: live is %v", key, v.Live)
			}
		}
	})
}

// Covers: NM-85. What differs is named by its key, and what needs a restart keeps its value.
func TestBetween(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*sample)
		want   change.Changes
	}{
		"nothing":              {func(*sample) {}, change.Changes{}},
		"a live key":           {func(s *sample) { s.Name = "x" }, change.Changes{Live: []string{"name"}}},
		"two of a mixed table": {func(s *sample) { s.Mixed.Address, s.Mixed.Key = "x", "/x" }, change.Changes{Live: []string{"mixed.key"}, Restart: []string{"mixed.address"}}},
		"a table of texts":     {func(s *sample) { s.Signer.Words = map[string]string{"a": "b"} }, change.Changes{Restart: []string{"signer.words"}}},
		"an entry":             {func(s *sample) { s.Entries[1].Name = "x" }, change.Changes{Live: []string{"entries[1].name"}}},
		"an entry more":        {func(s *sample) { s.Entries = append(s.Entries, entry{"three", ""}) }, change.Changes{Live: []string{"entries[2]"}}},
		"an entry less":        {func(s *sample) { s.Entries = s.Entries[:1] }, change.Changes{Live: []string{"entries[1]"}}},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			next := made()
			test.change(next)
			if diff := cmp.Diff(test.want, change.Of(made()).To(change.Of(next))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("refuses what needs a restart: it keeps its value", func(t *testing.T) {
		next := &sample{Issuer: "x", Name: "x", hidden: 1}
		next.Mixed.Address, next.Mixed.Key, next.Signer.Token = "x", "x", "x"
		change.Keep(made(), next)
		want := &sample{Issuer: "a", Name: "x", hidden: 1}
		want.Mixed.Address, want.Mixed.Key, want.Signer.Token, want.Signer.Derived = "c", "x", "d", "e"
		if !reflect.DeepEqual(next, want) {
			t.Errorf("%+v, want %+v", next, want)
		}
		if left := change.Of(made()).To(change.Of(next)); len(left.Restart) > 0 {
			t.Errorf("still different: %q", left.Restart)
		}
	})
	t.Run("accepts the files of live keys", func(t *testing.T) {
		if got := change.Files(made()); !slices.Equal(got, []value.Secret{"/k", "/1"}) {
			t.Errorf("%q", got)
		}
	})
}

// Covers: NM-85, NM-89. Each key that needs no restart is taken, alone, and each other is named and keeps its value.
func TestEachKey(t *testing.T) {
	full := func() *config.Config {
		c := new(config.Config)
		fill(reflect.ValueOf(c).Elem())
		return c
	}
	running := full()
	before := change.Of(running)
	for key, known := range before {
		next := full()
		if !alter(reflect.ValueOf(next).Elem(), "", key) {
			t.Fatalf("no key %s", key)
		}
		changes := before.To(change.Of(next))
		if known.Live {
			t.Run("accepts "+key, func(t *testing.T) {
				if diff := cmp.Diff(change.Changes{Live: []string{key}}, changes); diff != "" {
					t.Error(diff)
				}
				change.Keep(running, next)
				if kept := change.Of(next); kept[key] == before[key] {
					t.Error("it keeps its value")
				}
			})
			continue
		}
		t.Run("refuses "+key, func(t *testing.T) {
			if diff := cmp.Diff(change.Changes{Restart: []string{key}}, changes); diff != "" {
				t.Error(diff)
			}
			change.Keep(running, next)
			if diff := cmp.Diff(before, change.Of(next)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if len(before) < 200 {
		t.Errorf("%d keys", len(before))
	}
}

// fill gives each list one entry.
func fill(table reflect.Value) {
	for i := range table.NumField() {
		switch v := table.Field(i); {
		case !v.CanSet():
		case v.Kind() == reflect.Struct:
			fill(v)
		case v.Kind() == reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0))
		}
	}
}

// alter gives a key another value.
func alter(table reflect.Value, prefix, key string) bool {
	for i := range table.NumField() {
		name := strings.TrimPrefix(prefix+"."+table.Type().Field(i).Tag.Get("toml"), ".")
		switch v := table.Field(i); {
		case v.Kind() == reflect.Slice && v.CanSet() && strings.HasPrefix(key, name+"[0]."):
			return alter(v.Index(0), name+"[0]", key)
		case v.Kind() == reflect.Struct && v.CanSet() && strings.HasPrefix(key, name+"."):
			return alter(v, name, key)
		case name != key:
		case v.Kind() == reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"a": "b"}))
			return true
		case v.Kind() == reflect.String:
			v.SetString("another")
			return true
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
			return true
		default:
			v.SetInt(v.Int() + int64(time.Minute))
			return true
		}
	}
	return false
}

// Covers: NM-193. Each key that needs a restart says why, and config check repeats it.
func TestWhy(t *testing.T) {
	type example struct {
		A string `toml:"a" reload:"restart" why:"because of a"`
		B struct {
			C string `toml:"c"`
			D []struct {
				E string `toml:"e"`
			} `toml:"d"`
		} `toml:"b" reload:"restart" why:"because of b"`
		F string `toml:"f" reload:"restart"`
	}
	of := reflect.TypeFor[example]()
	for key, want := range map[string]string{"a": "because of a", "b.c": "because of b", "b.d[2]": "because of b", "b.d[0].e": "because of b"} {
		t.Run("accepts the reason of "+key, func(t *testing.T) {
			if got := change.Why(of, key); got != want {
				t.Errorf("%q", got)
			}
		})
	}
	t.Run("refuses a key without one", func(t *testing.T) {
		for _, key := range []string{"f", "g"} {
			if got := change.Why(of, key); got != "" {
				t.Errorf("%s: %q", key, got)
			}
		}
		for key, one := range change.Of(&config.Config{}) {
			if !one.Live && change.Why(reflect.TypeFor[config.Config](), key) == "" {
				t.Errorf(`%s needs a restart: say why, by why:"…"`, key)
			}
		}
	})
}
