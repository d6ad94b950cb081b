package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Covers: KD-05, KD-06. TestKD05Brand: a brand is refused by line, key and what would be right.
func TestKD05Brand(t *testing.T) {
	const named = "name = \"Harbour Bank\"\n"
	for name, test := range map[string]struct{ settings, want string }{
		"accepts a name":                   {named, ""},
		"accepts all":                      {named + "logo_file = \"l.svg\"\nlogo_dark_file = \"d.svg\"\nfavicon_file = \"f.png\"\naccent = \"#7A1f5c\"\nhelp_uri = \"https://bank.example/help\"\nlocales = \"pt-BR zh-Hant es-419\"\ntime_zone = \"Europe/Berlin\"\n", ""},
		"accepts a name by language":       {named + "[[brand.languages]]\nlanguage = \"ar\"\nname = \"بنك المرفأ\"\n", ""},
		"accepts scopes by language":       {named + "[[scopes]]\nname = \"a\"\ndescription = \"See\"\n[scopes.descriptions]\npt-BR = \"Ver\"\n", ""},
		"refuses a long name":              {"name = \"" + strings.Repeat("x", 61) + "\"\n", "c.toml:12: brand.name = "},
		"refuses an invisible name":        {"name = \"Bank\\u202e\"\n", "characters that cannot be seen"},
		"refuses a word for a colour":      {named + "accent = \"red\"\n", "c.toml:13: brand.accent = \"red\": not a colour; write # and six"},
		"refuses CSS":                      {named + "css_file = \"b.css\"\n", "brand.css_file: unknown key"},
		"refuses help without https":       {named + "help_uri = \"http://bank.example\"\n", "brand.help_uri = \"http://bank.example\": not an https address; write it whole"},
		"refuses a script for privacy":     {named + "privacy_uri = \"javascript:alert(1)\"\n", "brand.privacy_uri"},
		"refuses half an address":          {named + "accessibility_uri = \"bank.example\"\n", "brand.accessibility_uri"},
		"refuses what is no language":      {named + "locales = \"en Deutsch\"\n", "brand.locales = \"Deutsch\": not a language; write it as"},
		"refuses a language twice":         {named + "locales = \"en en\"\n", "listed twice"},
		"refuses no language":              {named + "locales = \" \"\n", "name one language at least"},
		"refuses what is no zone":          {named + "time_zone = \"Berlin\"\n", "brand.time_zone = \"Berlin\": not a time zone; write its name in the tz database"},
		"refuses the machine's zone":       {named + "time_zone = \"Local\"\n", "not a time zone"},
		"refuses a logo without a name":    {"logo_file = \"l.svg\"\n", "brand.logo_file = \"testdata/l.svg\": has no meaning without brand.name"},
		"refuses a dark logo alone":        {named + "logo_dark_file = \"d.svg\"\n", "has no meaning without brand.logo_file"},
		"refuses another language":         {named + "locales = \"en pt-BR\"\n[[brand.languages]]\nlanguage = \"pt\"\n", "brand.languages[0].language = \"pt\": not a language of the pages; "},
		"refuses a misspelt language":      {named + "[[brand.languages]]\nlanguage = \"pt-BT\"\n", "did you mean pt-BR?"},
		"refuses one language twice":       {named + strings.Repeat("[[brand.languages]]\nlanguage = \"ar\"\n", 2), "described twice"},
		"refuses a language without brand": {"[[brand.languages]]\nlanguage = \"ar\"\nname = \"X\"\n", "has no meaning without brand.name"},
		"refuses its help without https":   {named + "[[brand.languages]]\nlanguage = \"ar\"\nhelp_uri = \"ftp://x\"\n", "c.toml:15: brand.languages[0].help_uri = \"ftp://x\""},
		"refuses a scope in no language":   {named + "[[scopes]]\nname = \"a\"\ndescription = \"See\"\n[scopes.descriptions]\npt = \"Ver\"\n", "c.toml:17: scopes[0].descriptions.pt = \"pt\": not a language of the pages"},
		"refuses an empty description":     {named + "[[scopes]]\nname = \"a\"\ndescription = \"See\"\n[scopes.descriptions]\nde = \"\"\n", "scopes[0].descriptions.de: empty"},
	} {
		t.Run(name, func(t *testing.T) {
			text := newcomers + "[brand]\n" + test.settings
			_, err := parse("testdata/c.toml", []byte(text), false)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Covers: KD-05. TestKD05BrandFiles: each file of a brand is looked at when the configuration is read.
func TestKD05BrandFiles(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "c.toml")
	text := newcomers + "[brand]\nname = \"B\"\nlogo_file = \"gone.svg\"\nmessages_dir = \"messages\"\n[[brand.languages]]\nlanguage = \"ar\"\nlogo_file = \"gone-ar.svg\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	report, ok := errors.AsType[*Report](err)
	if !ok {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, problem := range report.Problems {
		said[problem.Key] = problem.Text
	}
	for key, want := range map[string]string{
		"brand.logo_file": "there is no such file", "brand.messages_dir": "there is no such folder", "brand.languages[0].logo_file": "there is no such file",
	} {
		t.Run("refuses "+key, func(t *testing.T) {
			if said[key] != want {
				t.Errorf("%q", said[key])
			}
		})
	}
	t.Run("accepts a folder of messages", func(t *testing.T) {
		if err := os.Mkdir(filepath.Join(folder, "messages"), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if report, ok := errors.AsType[*Report](err); !ok || strings.Contains(report.Error(), "messages_dir") {
			t.Errorf("%v", err)
		}
	})
}
