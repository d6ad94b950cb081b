package checklist

import (
	"fmt"
	"slices"
)

// Mistakes says what keeps the checklist from being fulfilled: tests that fail, items that no test names, and items
// that are shown from one side only.
func Problems(tests []Test, results map[Place]Result) []string {
	var problems []string
	for _, test := range tests {
		if results[test.Place()].Failed {
			problems = append(problems, fmt.Sprintf("%s/%s: %s fails", test.Folder, test.File, test.Function))
		}
	}
	for _, item := range Items() {
		if !item.Demanded() {
			continue
		}
		if !slices.ContainsFunc(tests, func(test Test) bool { return slices.Contains(test.Items, item.ID) }) {
			problems = append(problems, fmt.Sprintf("%s (%s) has no test", item.ID, item.Requires))
			continue
		}
		result, _ := resultOf(item, tests, results)
		if lack := Lacks(item, result); lack != "" && !result.Failed {
			problems = append(problems, fmt.Sprintf("%s (%s): %s", item.ID, item.Requires, lack))
		}
	}
	return problems
}
