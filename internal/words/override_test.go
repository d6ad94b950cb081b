package words

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// folder is a folder of messages, by file.
func folder(files map[string]string) fs.FS {
	made := fstest.MapFS{}
	for name, text := range files {
		made[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return made
}

// Covers: KD-07. TestKD07OwnMessages: messages of a bank replace ours, whole and one by one; what would be lost, passed over or not
// be understood is refused by file, line and key.
func TestKD07OwnMessages(t *testing.T) {
	for name, one := range map[string]struct {
		files map[string]string
		key   string
		pairs []any
		want  string
	}{
		"a text":                   {map[string]string{"de/own.json": `{"signin.heading": "Willkommen bei {bank}"}`}, "signin.heading", []any{"bank", "X"}, "Willkommen bei X"},
		"several files":            {map[string]string{"de/a.json": `{"signin.or": "a"}`, "de/b.json": `{"signin.title": "b"}`}, "signin.title", nil, "b"},
		"plural forms":             {map[string]string{"de/a.json": `{"duration.days": {"one": "ein Tag", "other": "{count} Tage"}}`}, "duration.days", []any{"count", 1}, "ein Tag"},
		"what is not mentioned":    {map[string]string{"de/a.json": `{}`}, "signin.or", nil, "oder"},
		"another file beside":      {map[string]string{"README.md": "ours", "de/notes.txt": "x", ".data/x.json": "x"}, "signin.or", nil, "oder"},
		"markup, as text":          {map[string]string{"de/a.json": `{"signin.or": "<b>oder</b>"}`}, "signin.or", nil, "<b>oder</b>"},
		"letters that are joined":  {map[string]string{"de/a.json": `{"signin.or": "a\u200db"}`}, "signin.or", nil, "a\u200db"},
		"a value in another place": {map[string]string{"de/a.json": `{"signin.heading": "{bank}!"}`}, "signin.heading", []any{"bank", "X"}, "X!"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			c, err := New([]string{"de"}, time.UTC, folder(one.files))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.languages[0].Text(one.key, one.pairs...); got != one.want {
				t.Errorf("%q, want %q", got, one.want)
			}
		})
	}
	for name, one := range map[string]struct{ file, text, want string }{
		"a message that there is not":      {"de/own.json", "{\n\"signin.or\": \"o\",\n\"signin.headng\": \"x\"}", "de/own.json:3: signin.headng: there is no such message; did you mean signin.heading?"},
		"a lost value":                     {"de/own.json", `{"signin.heading": "Willkommen"}`, "de/own.json:1: signin.heading: the value {bank} is missing"},
		"a lost number":                    {"de/own.json", `{"duration.days": {"one": "{count} Tag", "other": "Tage"}}`, "the value {count} is missing in the text (other)"},
		"a value that there is not":        {"de/own.json", `{"signin.heading": "{bank} {user}"}`, "there is no value {user}"},
		"a value with a capital":           {"de/own.json", `{"signin.heading": "{bank} {Bank}"}`, "a value is written as {name}"},
		"a brace":                          {"de/own.json", `{"signin.heading": "{bank} {"}`, "a value is written as {name}"},
		"an empty text":                    {"de/own.json", `{"signin.or": " "}`, "signin.or: the text (other) is empty"},
		"a text that is null":              {"de/own.json", `{"signin.or": null}`, "signin.or: the text (other) is empty"},
		"a text that reads backwards":      {"de/own.json", "{\"signin.or\": \"a\u202eb\"}", "characters that cannot be seen"},
		"bytes that are no text":           {"de/own.json", "{\"signin.or\": \"a\xff\"}", "characters that cannot be seen"},
		"a number":                         {"de/own.json", `{"signin.or": 1}`, "de/own.json:1: signin.or: neither a text"},
		"forms without other":              {"de/own.json", `{"duration.days": {"one": "{count} Tag"}}`, `"other"`},
		"a form that there is not":         {"de/own.json", `{"duration.days": {"single": "{count} Tag", "other": "{count} Tage"}}`, `there is no plural form "single"`},
		"one message twice":                {"de/own.json", "{\"signin.or\": \"a\",\n\"signin.or\": \"b\"}", "de/own.json:2: signin.or: is there twice, also in line 1"},
		"a list":                           {"de/own.json", `["x"]`, "de/own.json:1: not a JSON object"},
		"half a file":                      {"de/own.json", "{\n\"signin.or\": \"a\"", "not a JSON object"},
		"more than one object":             {"de/own.json", "{}\n{}", "something follows"},
		"a folder of no language of ours":  {"pt/own.json", `{"signin.or": "ou"}`, "pt: is no language of the pages; they are de"},
		"a folder misspelt":                {"de-/own.json", `{}`, "is no language of the pages"},
		"a file outside of the folders":    {"own.json", `{}`, "own.json: lies in no language's folder; move it into one, such as de"},
		"a direction that there is not":    {"de/own.json", `{"language.direction": "down"}`, "neither ltr nor rtl"},
		"a file larger than any":           {"de/own.json", `{"signin.or": "` + strings.Repeat("x", maxFile) + `"}`, "larger than"},
		"a folder in the place of a file":  {"de/own.json/x.json", `{}`, "de/own.json: is no file"},
		"a language without any messages":  {"nl/readme.txt", `{}`, ""},
		"a value in one form of two alone": {"de/own.json", `{"problem.tries": {"one": "noch {count}", "other": "noch einige"}}`, "{count} is missing"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			locales := []string{"de"}
			if one.want == "" {
				locales, one.want = []string{"de", "nl"}, `there is no catalogue of the language "nl"`
			}
			_, err := New(locales, time.UTC, folder(map[string]string{one.file: one.text}))
			if found, ok := errors.AsType[Problems](err); !ok || !strings.Contains(found.Error(), one.want) {
				t.Errorf("%v, want %s", err, one.want)
			}
		})
	}
	t.Run("refuses all that is wrong at once", func(t *testing.T) {
		_, err := New([]string{"de", "fr"}, time.UTC, folder(map[string]string{"de/a.json": `{"a": "x", "b": "y"}`, "fr/a.json": `{"c": "z"}`, "x.json": "{}"}))
		if found, _ := errors.AsType[Problems](err); len(found) != 4 {
			t.Errorf("%v", err)
		}
	})
}

// Covers: KD-08. TestKD08FurtherLanguage: a folder with every message is a language of its own; a missing one stops the start.
func TestKD08FurtherLanguage(t *testing.T) {
	raw, err := os.ReadFile("catalog/en/pages.json")
	if err != nil {
		t.Fatal(err)
	}
	var messages map[string]any
	if err := json.Unmarshal(raw, &messages); err != nil {
		t.Fatal(err)
	}
	// Files of other packages of messages, whole.
	others, err := fs.Glob(os.DirFS("catalog/en"), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	files := func() map[string]string {
		made := map[string]string{}
		for _, name := range others {
			text, err := os.ReadFile("catalog/en/" + name)
			if err != nil {
				t.Fatal(err)
			}
			made["nl/"+name] = string(text)
		}
		return made
	}
	write := func(alter func(map[string]any)) fs.FS {
		changed := map[string]any{}
		for key, text := range messages {
			changed[key] = text
		}
		changed["language.name"], changed["month.2"] = "Nederlands", "februari"
		alter(changed)
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		made := files()
		made["nl/pages.json"] = string(text)
		return folder(made)
	}
	t.Run("accepts all of them", func(t *testing.T) {
		c, err := New([]string{"en", "nl"}, time.UTC, write(func(map[string]any) {}))
		if err != nil {
			t.Fatal(err)
		}
		dutch := c.Match("nl-BE")
		if dutch.Tag != "nl" || dutch.Name != "Nederlands" || dutch.Date(time.Date(2027, 2, 3, 0, 0, 0, 0, time.UTC)) != "3 februari 2027" {
			t.Errorf("%s %s %s", dutch.Tag, dutch.Name, dutch.Date(time.Date(2027, 2, 3, 0, 0, 0, 0, time.UTC)))
		}
	})
	for name, alter := range map[string]func(map[string]any){
		"signin.heading: is missing":          func(m map[string]any) { delete(m, "signin.heading") },
		"signin.heading: the value {bank}":    func(m map[string]any) { m["signin.heading"] = "x" },
		"signin.extra: there is no such":      func(m map[string]any) { m["signin.extra"] = "x" },
		"language.direction: neither ltr nor": func(m map[string]any) { m["language.direction"] = "x" },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := New([]string{"en", "nl"}, time.UTC, write(alter)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
		})
	}
}
