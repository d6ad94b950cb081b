package display

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"countersign/internal/words"
)

// Covers: KC-03. Recurring payments say the most that they can cost, or that there is no limit.
func TestKC03Recurring(t *testing.T) {
	t.Parallel()
	schema := func(until string) string {
		return `{"x-display":{"kind":"recurring","times":"until","heading":{"en":"Allow payments of up to {limit-period} to {payee}?"}},
"type":"object","additionalProperties":false,"required":["type","limit","currency","name","period","from"],"properties":{
"limit":{"type":"string","x-display":{"role":"limit-period","format":"money","currency":"currency","label":{"en":"Each period"}}},"currency":{"type":"string"},
"name":{"type":"string","x-display":{"role":"payee"}},
"period":{"enum":["MNTH","WEEK","P1Y"],"x-display":{"role":"period","label":{"en":"Period"},"values":{"MNTH":{"en":"A month"},"WEEK":{"en":"A week"},"P1Y":{"en":"A year"}}}},
"from":{"type":"string","x-display":{"role":"from","format":"date","label":{"en":"From"}}}` + until + `}}`
	}
	of := parsed(t, schema(`,"until":{"type":"string","x-display":{"role":"until","format":"date","label":{"en":"Until"},"absent":{"en":"Until you end it"}}}`))
	for name, c := range map[string]struct{ limit, period, from, until, want string }{
		"twelve months":                      {"80.00", "MNTH", "2026-12-01", "2027-11-30", "€960.00 12 × €80.00"},
		"a month that has begun":             {"80.00", "MNTH", "2026-12-01", "2027-12-01", "€1,040.00 13 × €80.00"},
		"months without a 31st":              {"0.10", "MNTH", "2027-01-31", "2027-02-28", "€0.20 2 × €0.10"},
		"one day":                            {"5", "P1Y", "2027-01-31", "2027-01-31", "€5.00 1 × €5.00"},
		"two weeks and a day":                {"0.005", "WEEK", "2027-01-01", "2027-01-15", "€0.015 3 × €0.005"},
		"moments":                            {"1", "WEEK", "2027-01-01T23:00:00Z", "2027-01-02T01:00:00Z", "€1.00 1 × €1.00"},
		"more than fits into a machine's":    {"999999999999999999999999", "P1Y", "2027-01-01", "2028-01-01", "€1,999,999,999,999,999,999,999,998.00 2 × €999,999,999,999,999,999,999,999.00"},
		"an end before the beginning":        {"1", "WEEK", "2027-01-02", "2027-01-01", "€0.00 0 × €1.00"},
		"a date that is none: no promise":    {"1", "WEEK", "soon", "2027-01-01", "No limit in all"},
		"an amount that is none: no promise": {"much", "WEEK", "2027-01-01", "2027-01-01", "No limit in all"},
		"no end":                             {"1", "WEEK", "2027-01-01", "", "No limit in all"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			until := `,"until":"` + c.until + `"`
			if c.until == "" {
				until = ""
			}
			lines := flat(viewed(t, of, fmt.Sprintf(`{"type":"p","limit":%q,"currency":"EUR","name":"Energy","period":%q,"from":%q%s}`, c.limit, c.period, c.from, until), "en"))
			if want := "|The most it can cost|" + c.want; lines[len(lines)-2] != want && lines[len(lines)-1] != want {
				t.Errorf("%q, want %q", lines, want)
			}
		})
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"a beginning that may be absent": {`"period","from"]`, `"period"]`, "role from that is always there"},
		"a period of unknown length":     {`"P1Y"]`, `"EPOCH"]`, `"EPOCH", whose length is not known`},
		"periods that are not listed":    {`"enum":["MNTH","WEEK","P1Y"]`, `"type":"string"`, "list its values in an enum"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			changed := strings.Replace(schema(`,"until":{"type":"string","x-display":{"role":"until","label":{"en":"Until"}}}`), c.from, c.to, 1)
			if _, err := Parse("p", json.RawMessage(changed), speaking(t)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Covers: KC-04. Values are written as people read them, in Latin digits, and never rounded; what is not of its format is
// written as it is.
func TestKC04Formats(t *testing.T) {
	t.Parallel()
	languages := speaking(t)
	of := map[string]*words.Language{}
	for _, l := range languages.catalogue.Languages() {
		of[l.Tag] = l
	}
	for _, c := range []struct{ tag, amount, code, want string }{
		{"en", "1234.50", "EUR", "€1,234.50"}, {"en", "1234.5", "EUR", "€1,234.50"}, {"en", "1234.505", "EUR", "€1,234.505"}, {"en", "0.123456789012", "EUR", "€0.123456789012"},
		{"en", "-3", "EUR", "-€3.00"}, {"en", "10", "JPY", "¥10"}, {"en", "1", "BHD", "BHD\u00a01.000"}, {"en", "5", "USD", "US$5.00"}, {"en", "5", "GBP", "£5.00"},
		{"en", "5", "CNY", "CN¥5.00"}, {"pt-BR", "1234.5", "BRL", "R$\u00a01.234,50"}, {"pt-BR", "5", "USD", "US$\u00a05,00"}, {"de", "1234567.8", "EUR", "1.234.567,80\u00a0€"},
		{"fr", "1234.5", "EUR", "1\u00a0234,50\u00a0€"}, {"es", "12345.6", "EUR", "12.345,60\u00a0€"}, {"ar", "1234.50", "AED", "1,234.50\u00a0د.إ."}, {"de", "5", "SEK", "5,00\u00a0SEK"},
		{"en", "123456789012345678901234.00", "EUR", "€123,456,789,012,345,678,901,234.00"},
		{"en", "1e3", "EUR", "1e3 EUR"}, {"en", "", "EUR", " EUR"}, {"en", "12", "eur", "12 eur"}, {"en", "12", "XQQ", "12 XQQ"}, {"en", "1,000", "EUR", "1,000 EUR"},
		{"en", "1\u202e2", "EUR", `"1\u202e2" EUR`},
	} {
		t.Run("accepts "+c.tag+" "+c.amount+" "+c.code, func(t *testing.T) {
			if got := money(c.tag, c.amount, c.code); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	for _, c := range []struct {
		format    Format
		tag       string
		raw, want string
	}{
		{IBAN, "en", "AE070331234567890123456", "AE07 0331 2345 6789 0123 456"}, {IBAN, "en", "not an IBAN", "not an IBAN"},
		{Date, "en", "2027-02-27", "27 February 2027"}, {Date, "ar", "2027-02-27", "27 فبراير 2027"}, {Date, "en", "2027-02-30", "2027-02-30"},
		{DateTime, "de", "2027-02-27T23:30:00Z", "28. Februar 2027 um 00:30, Zeit in Berlin"}, {DateTime, "en", "2027-02-27T23:30:00.5Z", "2027-02-27T23:30:00.5Z"},
		{Duration, "en", "P90D", "90 days"}, {Duration, "ar", "P2M", "شهران"}, {Duration, "en", "P", "P"}, {Duration, "en", "PT", "PT"}, {Duration, "en", "P1.5Y", "P1.5Y"},
		{YesNo, "pt-BR", "false", "Não"}, {Count, "ar", "12", "12"}, {AccountID, "en", "0001-2", "0001-2"},
		{Host, "en", "https://api.example/", "api.example"}, {Host, "en", "https://api.example/v1", "https://api.example/v1"},
		{Host, "en", "https://u@api.example", "https://u@api.example"}, {Host, "en", "http://api.example", "http://api.example"}, {Host, "en", "urn:x", "urn:x"},
		{Text, "en", "two  blanks", `"two  blanks"`}, {Text, "en", " x", `" x"`}, {Text, "en", "x ", `"x "`}, {Text, "en", "a\u00a0b", `"a\u00a0b"`}, {Text, "en", "\u3164", `"\u3164"`},
		{Text, "en", "Z" + strings.Repeat("\u0301", 5), `"Z` + strings.Repeat(`\u0301`, 5) + `"`}, {Text, "ar", "متجر", "متجر"},
	} {
		t.Run(fmt.Sprintf("accepts %s %s %.20q", c.format, c.tag, c.raw), func(t *testing.T) {
			if got := write(of[c.tag], c.format, c.raw); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
