package checklist

import (
	"fmt"
	"slices"
)

// Problems lists what keeps the checklist from being fulfilled: failed tests, items without tests, and items whose
// tests only accept or only refuse.
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
		if lack := lacks(item, result); lack != "" && !result.Failed {
			problems = append(problems, fmt.Sprintf("%s (%s): %s", item.ID, item.Requires, lack))
		}
	}
	return problems
}
