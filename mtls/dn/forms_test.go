package dn

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSlashForm: separators are those before a type, the order is the certificate's.
func TestSlashForm(t *testing.T) {
	for slash, dn := range map[string]string{
		"/C=DE/O=Bank/CN=client":         "CN=client,O=Bank,C=DE",
		" /C=DE/CN=client":               "CN=client,C=DE",
		"/DC=example/DC=bank/CN=a":       "CN=a,DC=bank,DC=example",
		"/O=A/S/CN=https://a.example/b":  "CN=https://a.example/b,O=A/S",
		`/O=a\/CN=b`:                     "O=a/CN\\=b",
		`/O=a\+CN=b`:                     "O=a\\+CN\\=b",
		"/CN=a+UID=1/O=b":                "O=b,UID=1+CN=a",
		"/2.5.4.97=PSD/OID.2.5.4.3=a":    "CN=a,organizationIdentifier=PSD",
		"/O=1+1/CN=a":                    "CN=a,O=1\\+1",
		`/O=a\b/CN=a, b`:                 `CN=a\, b,O=a\\b`,
		"/O=/CN=a":                       "CN=a,O=",
		`/O=\xC3\x84rzte/emailAddress=a`: "E=a,O=Ärzte",
	} {
		want := mustParse(t, dn)
		if got := mustParse(t, slash); !got.Equal(want) {
			t.Errorf("%s: %s", slash, got)
		}
	}
}

// TestFormsAgree: a name reads as the same one in whatever form it is written.
func TestFormsAgree(t *testing.T) {
	types := []struct{ oid, short, java string }{
		{"2.5.4.3", "CN", "CN"}, {"2.5.4.10", "O", "O"}, {"2.5.4.8", "ST", "S"}, {"2.5.4.97", "organizationIdentifier", "OID.2.5.4.97"},
		{"2.5.4.6", "C", "C"}, {"2.5.4.42", "GN", "G"}, {"1.2.840.113549.1.9.1", "emailAddress", "EMAILADDRESS"},
	}
	rapid.Check(t, func(t *rapid.T) {
		var name Name
		var comma, quoted, semicolons, dotted []string
		var slash strings.Builder
		for range rapid.IntRange(1, 6).Draw(t, "parts") {
			kind := rapid.SampledFrom(types).Draw(t, "type")
			value := rapid.StringMatching(`[a-zA-Z0-9 ,;+"\\/<>=#ãÄß._-]{0,12}`).Draw(t, "value")
			made, err := textAttribute(kind.oid, value)
			if err != nil {
				t.Fatal(err)
			}
			name = append(name, rdn{made})
			escaped := escapeValue(value)
			inQuotes := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
			if rapid.Bool().Draw(t, "doubled") {
				inQuotes = strings.NewReplacer(`\`, `\\`, `"`, `""`).Replace(value)
			}
			comma = append([]string{kind.short + "=" + escaped}, comma...)
			semicolons = append([]string{" " + kind.java + " = " + escaped + " "}, semicolons...)
			dotted = append([]string{kind.oid + "=" + escaped}, dotted...)
			quoted = append([]string{kind.java + `="` + inQuotes + `"`}, quoted...)
			slash.WriteString("/" + kind.short + "=" + strings.NewReplacer(`\`, `\x5C`, "/", `\/`, "+", `\+`).Replace(value))
		}
		for _, text := range []string{
			name.String(), strings.Join(comma, ","), strings.Join(semicolons, ";"), strings.Join(dotted, ", "), strings.Join(quoted, ", "), slash.String(),
		} {
			read, err := Parse(text)
			if err != nil || !read.Equal(name) {
				t.Fatalf("%q is read as %s, want %s: %v", text, read, name, err)
			}
		}
	})
}

// Covers: FD-56. Strings are compared as RFC 4518 prepares them.
func TestPrepare(t *testing.T) {
	for name, pair := range map[string][2]string{
		"composed":                          {"S\u00e3o", "Sa\u0303o"},
		"two marks in another order":        {"a\u0323\u0307", "a\u0307\u0323"},
		"compatibility forms":               {"\ufb01n \uff21\uff22 \u2460", "fin ab 1"},
		"a ligature and its case":           {"\u00df", "SS"},
		"Greek final sigma":                 {"\u03c2", "\u03a3"},
		"a soft hyphen":                     {"Spar\u00adkasse", "Sparkasse"},
		"zero width space and joiners":      {"a\u200bb\u200cc\u200d\u2060", "abc"},
		"a byte order mark":                 {"\ufeffBank", "bank"},
		"a variation selector":              {"a\ufe0f", "a"},
		"no-break and ideographic space":    {"my\u00a0own\u3000bank", "my own bank"},
		"tab, line end, line separator":     {"\ta\r\n\u0085b\u2028c ", "a b c"},
		"Kelvin":                            {"\u212a", "k"},
		"a letter with a compatibility":     {"\u1d2c", "A"}, // modifier letter A
		"a space that carries a mark":       {"a\u00a8", "a \u0308"},
		"text that is composed differently": {"\u1e9b\u0323", "\u1e69"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			a, err := prepare(pair[0])
			b, other := prepare(pair[1])
			if err != nil || other != nil || a != b {
				t.Errorf("%q and %q: %v, %v", a, b, err, other)
			}
		})
	}
	for name, pair := range map[string][2]string{
		"an accent":                {"Sao", "S\u00e3o"},
		"a letter that looks same": {"B\u0430nk", "Bank"},
		"dotless i":                {"\u0131", "i"},
		"a space":                  {"my bank", "mybank"},
		"a hyphen":                 {"a-b", "ab"},
		"an Arabic number sign":    {"\u06001", "1"}, // can be seen
		"a space and a mark":       {"a\u0308", "a \u0308"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			a, err := prepare(pair[0])
			b, other := prepare(pair[1])
			if err != nil || other != nil || a == b {
				t.Errorf("%q and %q: %v, %v", a, b, err, other)
			}
		})
	}
	for name, text := range map[string]string{
		"NUL": "a\x00", "escape": "\x1b", "C1": "a\u0080", "private use": "\ue000", "no character": "\ufdd0", "the last one": "\uffff", "replacement": "\ufffd", "not UTF-8": "\xff",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := prepare(text); !errors.Is(err, ErrMalformed) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) { // what is prepared stays as it is
		once, err := prepare(rapid.String().Draw(t, "text"))
		if err != nil {
			return
		}
		if twice, err := prepare(once); err != nil || twice != once {
			t.Fatalf("%q, %q, %v", once, twice, err)
		}
	})
}
