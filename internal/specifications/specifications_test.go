package specifications

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestPage: the page is what the sources give, and every section belongs to a document.
func TestPage(t *testing.T) {
	references, unclear, err := Find("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range unclear {
		t.Errorf("%s belongs to no document: name the document before it", each)
	}
	want, err := Page(references)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/specifications.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/specifications.md is out of date: go run ./internal/specifications/generate")
	}
}

func TestScan(t *testing.T) {
	for text, want := range map[string]string{
		"nothing":                                                  "",
		"as RFC 9449 §4.3 has it":                                  "RFC 9449:4.3",
		"RFC\n7517 §5":                                             "RFC 7517:5",
		"(RFC 9449 §8, §9; CIBA Core §7.1)":                        "RFC 9449:8 RFC 9449:9 CIBA Core:7.1",
		"FAPI 2.0 Security Profile §5.3.2.1-8.":                    "FAPI 2.0 Security Profile:5.3.2.1-8",
		"FAPI 1.0 Advanced §5.2.2-5, -6":                           "FAPI 1.0 Advanced:5.2.2-5 FAPI 1.0 Advanced:5.2.2-6",
		"of RFC 6749 Appendix A.5":                                 "RFC 6749:A.5",
		"the cnf claim (RFC 7800)":                                 "RFC 7800:",
		"OpenID Connect Core Unmet Authentication Requirements §2": "OpenID Connect Core Unmet Authentication Requirements:2",
		"§5.5.1 first":                                             ":5.5.1",
		"WebAuthn (Level 3 §7)":                                    "WebAuthn Level 3:7",
		"through PKCS#11, as RFC 7512 says":                        "RFC 7512:",
	} {
		var got []string
		document := ""
		for _, word := range scan(text) {
			if word.document != "" {
				document = word.document
			}
			if word.document == "" || word.whole {
				got = append(got, document+":"+word.section)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCompareSections(t *testing.T) {
	want := []string{"", "2", "5.2", "5.2-2", "5.2-10", "5.2.1", "5.2.2", "5.2.10", "5.10", "A.5"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareSections)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
