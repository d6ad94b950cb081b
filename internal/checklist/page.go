package checklist

import (
	"fmt"
	"slices"
	"strings"
)

// introduction begins the page.
const introduction = `# Conformance

Every requirement that the server is built against has a number here, and tests that show it: what the server has to
accept, it accepts, and what it has to refuse, it refuses, with the error that the document names. The tests of package
fapi run against the whole server, with keys in SoftHSM2, a real database and real TLS; what is a matter of one package,
such as the parsing of a JWT or of a subject name, is shown there.

This page is made by ` + "`make checklist`" + `, which runs the tests and counts. A test in
[internal/checklist](../internal/checklist) fails when the page and the tests part: when a requirement is shown from
one side only, when a test was added, moved or taken away, or when anything on this page does not pass. The OpenID
conformance suite is run beside it: see [conformance-suite.md](conformance-suite.md).

*Accepts* and *refuses* count the cases of the tests that are named. *Later* says with which part of the product a
requirement comes.
`

// Page renders docs/conformance.md from the tests and their results. It is the same for the same input.
func Page(tests []Test, results map[Place]Result) string {
	var page strings.Builder
	page.WriteString(introduction)
	writeSummary(&page, tests, results)
	for _, group := range Groups() {
		fmt.Fprintf(&page, "\n## %s: %s\n\n", group.Code, group.Title)
		page.WriteString("| item | requirement | section | tests | accepts | refuses | result |\n|---|---|---|---|--:|--:|---|\n")
		for _, item := range group.Items {
			writeRow(&page, item, tests, results)
		}
	}
	return page.String()
}

func writeSummary(page *strings.Builder, tests []Test, results map[Place]Result) {
	page.WriteString("\n| | items | shown by tests | not a matter of tests | later | missing | failing |\n|---|--:|--:|--:|--:|--:|--:|\n")
	var total [6]int
	for _, group := range Groups() {
		var count [6]int
		for _, item := range group.Items {
			count[0]++
			switch result, named := resultOf(item, tests, results); {
			case item.NoTest != "":
				count[2]++
			case item.Later != Later{}:
				count[3]++
			case result.Failed:
				count[5]++
			case named == 0 || lacks(item, result) != "":
				count[4]++
			default:
				count[1]++
			}
		}
		writeCounts(page, fmt.Sprintf("[%s](#%s) %s", group.Code, anchor(group), group.Title), count)
		for i := range total {
			total[i] += count[i]
		}
	}
	writeCounts(page, "**all**", total)
	cases, functions := Result{}, 0
	for _, test := range tests {
		functions++
		cases = cases.plus(results[test.Place()])
	}
	fmt.Fprintf(page, "\n%d test functions; %d cases that accept, %d that refuse.\n", functions, cases.Accepts,
		cases.Refuses)
}

func writeCounts(page *strings.Builder, title string, count [6]int) {
	fmt.Fprintf(page, "| %s |", title)
	for _, n := range count {
		fmt.Fprintf(page, " %d |", n)
	}
	page.WriteString("\n")
}

// anchor returns the fragment of a group's heading in rendered Markdown.
func anchor(group Group) string {
	heading := strings.ToLower(group.Code + ": " + group.Title)
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, heading)
}

// resultOf sums the results of the tests of an item, and counts the tests.
func resultOf(item Item, tests []Test, results map[Place]Result) (Result, int) {
	var sum Result
	named := 0
	for _, test := range tests {
		if slices.Contains(test.Items, item.ID) {
			named++
			sum = sum.plus(results[test.Place()])
		}
	}
	return sum, named
}

// Lacks returns what the tests of an item lack, subtests that accept or that refuse, or "".
func lacks(item Item, result Result) string {
	switch {
	case result.Accepts == 0:
		return "no test accepts"
	case result.Refuses == 0 && item.NoRefusal == "":
		return "no test refuses"
	}
	return ""
}

func writeRow(page *strings.Builder, item Item, tests []Test, results map[Place]Result) {
	var names []string
	for _, test := range tests {
		if slices.Contains(test.Items, item.ID) {
			one := results[test.Place()]
			names = append(names, fmt.Sprintf("[%s/%s: %s](../%s/%s) %d/%d", test.Folder, test.File, test.Function, test.Folder,
				test.File, one.Accepts, one.Refuses))
		}
	}
	result, named := resultOf(item, tests, results)
	verdict := "pass"
	switch {
	case result.Failed:
		verdict = "**FAIL**"
	case item.NoTest != "":
		verdict = item.NoTest
	case item.Later != Later{} && named == 0:
		verdict = fmt.Sprintf("later, with %s: %s", item.Later.Part, item.Later.Why)
	case item.Later != Later{}:
		verdict = fmt.Sprintf("pass; the rest later, with %s: %s", item.Later.Part, item.Later.Why)
	case named == 0:
		verdict = "**no test**"
	case lacks(item, result) != "":
		verdict = "**" + lacks(item, result) + "**"
	case result.Refuses == 0:
		verdict = "pass; nothing to refuse: " + item.NoRefusal
	}
	accepts, refuses := "", ""
	if named > 0 {
		accepts, refuses = fmt.Sprint(result.Accepts), fmt.Sprint(result.Refuses)
	}
	fmt.Fprintf(page, "| %s | %s | %s | %s | %s | %s | %s |\n", item.ID, item.Requires, item.Section,
		strings.Join(names, "<br>"), accepts, refuses, verdict)
}
