package checklist

import (
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPageIsTrue holds docs/conformance.md against the list and against the tests of the tree. It does not run them:
// what they came to is what the page recorded.
func TestPageIsTrue(t *testing.T) {
	tests, err := Find("../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	results, err := ReadPage(string(page))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if _, ok := results[test.Place()]; !ok {
			t.Errorf("%s/%s: %s is not on the page; run: make checklist", test.Folder, test.File, test.Function)
		}
	}
	for _, problem := range Problems(tests, results) {
		t.Error(problem)
	}
	if diff := cmp.Diff(Page(tests, results), string(page)); diff != "" {
		t.Errorf("docs/conformance.md is out of date, or says that something fails; run: make checklist\n%s", diff)
	}
}

// TestList: numbers are unique and in order, and each item is whole.
func TestList(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for _, group := range Groups() {
		for _, item := range group.Items {
			if !strings.HasPrefix(item.ID, group.Code+"-") || seen[item.ID] || strings.HasPrefix(last, group.Code+"-") && !after(item.ID, last) {
				t.Errorf("%s is out of place after %s", item.ID, last)
			}
			seen[item.ID], last = true, item.ID
			if item.Section == "" || item.Requires == "" || strings.Contains(item.Requires+item.Section+item.NoTest+item.NoRefusal+item.Later.Why, "|") {
				t.Errorf("%s is not whole: %+v", item.ID, item)
			}
			if (item.Later.Part == "") != (item.Later.Why == "") {
				t.Errorf("%s does not say with what and why later: %+v", item.ID, item.Later)
			}
			if ids, err := itemsOf("Test"+nameOf(item.ID), ""); err != nil || len(ids) != 1 || ids[0] != item.ID {
				t.Errorf("a test cannot name %s: %v %v", item.ID, ids, err)
			}
		}
	}
	if len(seen) != 1052 {
		t.Errorf("%d items", len(seen))
	}
}

// after reports whether a number of a group comes after another: FD-100 after FD-99.
func after(id, before string) bool {
	return len(id) > len(before) || len(id) == len(before) && id > before
}

// nameOf is how a test's name begins that shows an item.
func nameOf(id string) string {
	id = strings.Replace(strings.Replace(id, "RULE-", "Rule-", 1), "ATTACK-", "Attack-", 1)
	return strings.Replace(id, "-", "", 1)
}

func TestFindInFile(t *testing.T) {
	find := func(body string) ([]Test, error) {
		file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", "package x\n"+body, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		return inFile(file)
	}
	for name, test := range map[string]struct {
		body string
		want []string
	}{
		"by name":             {"func TestSP18AssertionAudience(t *testing.T) {}", []string{"SP-18"}},
		"by name alone":       {"func TestAttack09(t *testing.T) {}", []string{"ATTACK-09"}},
		"by comment":          {"// Covers: SP-29, BC-03, ATTACK-47.\nfunc TestPKCE(t *testing.T) {}", []string{"SP-29", "BC-03", "ATTACK-47"}},
		"by both":             {"// Covers: SP-01.\nfunc TestRule07(t *testing.T) {}", []string{"SP-01", "RULE-07"}},
		"twice the same":      {"// Covers: RULE-07.\nfunc TestRule07(t *testing.T) {}", []string{"RULE-07"}},
		"over two lines":      {"// Covers: SP-01,\n// SP-02. And more.\nfunc TestX(t *testing.T) {}", []string{"SP-01", "SP-02"}},
		"not numbered":        {"func TestDPoP(t *testing.T) {}", nil},
		"one digit":           {"func TestSP1(t *testing.T) {}", nil},
		"a method":            {"func (x) TestSP01(t *testing.T) {}", nil},
		"a helper":            {"func testSP01(t *testing.T) {}", nil},
		"a paragraph":         {"// TestX does a thing.\n//\n// Covers: SP-01.\nfunc TestX(t *testing.T) {}", []string{"SP-01"}},
		"covers, further on":  {"// TestX does a thing. Covers: SP-01.\nfunc TestX(t *testing.T) {}", nil},
		"another kind of doc": {"// Covers SP-01.\nfunc TestX(t *testing.T) {}", nil},
	} {
		found, err := find(test.body)
		var got []string
		for _, one := range found {
			got = append(got, one.Items...)
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for name, body := range map[string]string{
		"unknown by name":    "func TestSP99(t *testing.T) {}",
		"unknown by comment": "// Covers: XX-01.\nfunc TestX(t *testing.T) {}",
		"no full stop":       "// Covers: SP-01\nfunc TestX(t *testing.T) {}",
		"nothing":            "// Covers:\nfunc TestX(t *testing.T) {}",
	} {
		if found, err := find(body); err == nil {
			t.Errorf("%s: found %v", name, found)
		}
	}
}

func TestReadResults(t *testing.T) {
	report := strings.Join([]string{
		`{"Action":"start","Package":"module.example/fapi"}`,
		`{"Action":"run","Package":"module.example/fapi","Test":"TestSP01"}`,
		`{"Action":"pass","Package":"module.example/fapi","Test":"TestSP01/accepts_it"}`,
		`{"Action":"pass","Package":"module.example/fapi","Test":"TestSP01/refuses/this"}`,
		`{"Action":"pass","Package":"module.example/fapi","Test":"TestSP01/refuses/that"}`,
		`{"Action":"pass","Package":"module.example/fapi","Test":"TestSP01/refuses"}`,
		`{"Action":"pass","Package":"module.example/fapi","Test":"TestSP01/neither"}`,
		`{"Action":"pass","Package":"module.example/fapi","Test":"TestSP01"}`,
		`{"Action":"output","Package":"module.example/dpop","Test":"TestDP01/accepts_it","Output":"wrong\n"}`,
		`{"Action":"fail","Package":"module.example/dpop","Test":"TestDP01/accepts_it"}`,
		`{"Action":"fail","Package":"module.example/dpop","Test":"TestDP01"}`,
		`{"Action":"fail","Package":"module.example/dpop"}`,
		`{"Action":"skip","Package":"module.example/mtls","Test":"TestMT01"}`,
	}, "\n")
	var failures strings.Builder
	results, err := ReadResults(strings.NewReader(report), "module.example", &failures)
	if err != nil {
		t.Fatal(err)
	}
	want := map[Place]Result{
		{"fapi", "TestSP01"}: {Accepts: 1, Refuses: 2},
		{"dpop", "TestDP01"}: {Accepts: 1, Failed: true},
		{"mtls", "TestMT01"}: {Failed: true},
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Error(diff)
	}
	if failures.String() != "wrong\n" {
		t.Errorf("failures %q", failures.String())
	}
	if _, err := ReadResults(strings.NewReader("no JSON"), "module.example", &failures); err == nil {
		t.Error("accepted what is no report")
	}
}

// TestMistakes: what is missing, failing or one-sided is told, and shows on the page.
func TestMistakes(t *testing.T) {
	test := Test{Folder: "fapi", File: "a_test.go", Function: "TestSP18", Items: []string{"SP-18"}}
	for name, one := range map[string]struct {
		tests  []Test
		result Result
		want   string
	}{
		"fulfilled":       {[]Test{test}, Result{Accepts: 1, Refuses: 1}, ""},
		"no test":         {nil, Result{}, "**no test**"},
		"refuses only":    {[]Test{test}, Result{Refuses: 1}, "**no test accepts**"},
		"accepts only":    {[]Test{test}, Result{Accepts: 1}, "**no test refuses**"},
		"fails":           {[]Test{test}, Result{Accepts: 1, Refuses: 1, Failed: true}, "**FAIL**"},
		"fails and lacks": {[]Test{test}, Result{Failed: true}, "**FAIL**"},
	} {
		results := map[Place]Result{test.Place(): one.result}
		said := 0
		for _, problem := range Problems(one.tests, results) {
			if strings.Contains(problem, "SP-18") || strings.Contains(problem, "TestSP18") {
				said++
			}
		}
		if want := min(len(one.want), 1); said != want {
			t.Errorf("%s: said %d times", name, said)
		}
		page := Page(one.tests, results)
		row := page[strings.Index(page, "| SP-18 "):]
		row, _, _ = strings.Cut(row, "\n")
		if one.want == "" && !strings.HasSuffix(row, "| 1 | 1 | pass |") || !strings.Contains(row, one.want) {
			t.Errorf("%s: %s", name, row)
		}
		again, err := ReadPage(page)
		if err != nil {
			t.Fatal(err)
		}
		if got := again[test.Place()]; len(one.tests) > 0 && (got.Accepts != one.result.Accepts || got.Refuses != one.result.Refuses) {
			t.Errorf("%s: read again as %+v", name, got)
		}
	}
}
