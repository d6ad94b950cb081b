package words

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func all(t *testing.T) *Catalogue {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Supported(), zone, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Covers: KD-01. Each message exists in each language, with the same values, and with the plural forms that the language has.
func TestKD01EveryMessageInEveryLanguage(t *testing.T) {
	c := all(t)
	english := c.languages[0]
	for _, l := range c.languages {
		t.Run("accepts "+l.Tag, func(t *testing.T) {
			for key, want := range english.messages {
				got, found := l.messages[key]
				if !found || !slices.Equal(got.placeholders(), want.placeholders()) {
					t.Errorf("%s has the values %v, want %v", key, got.placeholders(), want.placeholders())
				}
				for n := range 120 {
					if len(want) > 1 && strings.TrimSpace(l.Text(key, "count", n)) == "" {
						t.Errorf("%s has no text for %d", key, n)
					}
				}
			}
			if len(l.messages) != len(english.messages) {
				t.Errorf("%d messages, want %d", len(l.messages), len(english.messages))
			}
			if l.Tag != "en" && l.Text("problem.wrong_password") == english.Text("problem.wrong_password") {
				t.Error("it is English")
			}
		})
	}
}

// Covers: KD-02. The language is that of the first list that any fits, and dates, plural forms and the zone are its own.
func TestKD02Languages(t *testing.T) {
	c := all(t)
	for lists, want := range map[string]string{
		"pt": "pt-BR", "pt-PT": "pt-BR", "de-AT,en;q=0.5": "de", "fr-CA es": "fr", "xx|ar-EG": "ar", "": "en", "zh": "en",
		"en;q=0.1, es;q=0.9": "es", "*": "en", "\x00": "en", "|es": "es",
		"xx de": "de", "fr;q=0.3, es;q=0.9, xx": "es", "de;q=0, fr;q=0.1": "fr", "de;q=x, fr;q=0.1": "fr", "de;q=NaN,fr;q=0.2": "fr", "en-US,en;q=0.9,de;q=0.8": "en",
		"fr ; q=0.3 , es ; q=0.9": "es", "de;q=0.5,fr;q=0.5": "de", "zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,zz,de": "en",
	} {
		t.Run("accepts "+lists, func(t *testing.T) {
			if got := c.Match(strings.Split(lists, "|")...).Tag; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	day := time.Date(2027, 2, 27, 18, 46, 0, 0, time.UTC)
	for tag, want := range map[string]string{
		"en": "27 February 2027|today at 19:46|Berlin time|2 days", "pt-BR": "27 de fevereiro de 2027|hoje às 19:46|horário de Berlim|2 dias",
		"ar": "27 فبراير 2027|اليوم 19:46|توقيت برلين|يومان", "de": "27. Februar 2027|heute um 19:46|Zeit in Berlin|2 Tage",
	} {
		t.Run("accepts times in "+tag, func(t *testing.T) {
			l := c.Match(tag)
			got := strings.Join([]string{l.Date(day), l.When(day, day.Add(time.Hour)), l.Zone(), l.Duration(48 * time.Hour)}, "|")
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	t.Run("accepts the first of a month in French", func(t *testing.T) {
		if got := c.Match("fr").Date(time.Date(2027, 2, 1, 12, 0, 0, 0, time.UTC)); got != "1er février 2027" {
			t.Error(got)
		}
	})
}

// Covers: KD-03. A bank replaces single messages; one that there is not, or with a value that there is not, is refused by its key.
func TestKD03Overrides(t *testing.T) {
	files := func(text string) fstest.MapFS { return fstest.MapFS{"de/own.json": {Data: []byte(text)}} }
	t.Run("accepts a text", func(t *testing.T) {
		c, err := New([]string{"de"}, time.UTC, files(`{"signin.heading": "Willkommen bei {bank}"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.languages[0].Text("signin.heading", "bank", "X"); got != "Willkommen bei X" {
			t.Error(got)
		}
	})
	for name, text := range map[string]string{
		"signin.nothing": `{"signin.nothing": "x"}`, "{user}": `{"signin.heading": "{user}"}`, "signin.heading": `{"signin.heading": " "}`,
		"own.json": `{"signin.heading": 1}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := New([]string{"de"}, time.UTC, files(text)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	t.Run("refuses a language without a catalogue", func(t *testing.T) {
		if _, err := New([]string{"tlh"}, time.UTC, nil); err == nil || !strings.Contains(err.Error(), "tlh") {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestMarkup: values are escaped and set apart.
func TestMarkup(t *testing.T) {
	if got := all(t).languages[0].HTML("asker.asks", "client", `<b>"`); got != `<bdi>&lt;b&gt;&#34;</bdi> asks` {
		t.Error(got)
	}
}

// Covers: KD-04. Every message that a page names exists.
func TestKD04MessagesOfPages(t *testing.T) {
	catalogues, err := filepath.Glob("catalog/en/*.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]any{}
	for _, name := range catalogues {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &known); err != nil { // adds to what is known
			t.Fatal(err)
		}
	}
	count := 0
	for _, pattern := range []string{"../pages/templates/*.html", "../pages/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`(?:\{\{t|\.Text\() ?"([a-z_.]+)"`).FindAllSubmatch(text, -1) {
				count++
				if known[string(match[1])] == nil {
					t.Errorf("%s names %s", name, match[1])
				}
			}
		}
	}
	t.Run("accepts those that templates and code name", func(t *testing.T) {
		if count < 150 {
			t.Errorf("found %d only", count)
		}
	})
}

// TestCatalogueStaysSmall: all languages stay in memory as long as the server runs, and the collector lets garbage grow by a
// multiple of what stays.
func TestCatalogueStaysSmall(t *testing.T) {
	kept := func() uint64 {
		var of runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one found to be finalised
		runtime.ReadMemStats(&of)
		return of.HeapAlloc
	}
	before := kept()
	c := all(t)
	after := kept()
	messages := 0
	for _, l := range c.languages {
		messages += len(l.messages)
	}
	each := float64(int64(after)-int64(before)) / float64(messages)
	if messages < 1000 || each > 260 {
		t.Errorf("%d messages take %.0f bytes each, more than 260", messages, each)
	}
	t.Logf("%d messages, %.0f bytes each", messages, each)
	runtime.KeepAlive(c)
}
