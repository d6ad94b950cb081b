package checklist

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// recorded is a test with its counts, as a row of the page names it.
var recorded = regexp.MustCompile(`\[([^]:]+)/[^]/:]+: (Test\w+)\]\([^)]*\) (\d+)/(\d+)`)

// ReadPage returns the results that a page was made with.
func ReadPage(page string) (map[Place]Result, error) {
	results := map[Place]Result{}
	for line := range strings.Lines(page) {
		for _, match := range recorded.FindAllStringSubmatch(line, -1) {
			accepts, err := strconv.Atoi(match[3])
			if err != nil {
				return nil, fmt.Errorf("checklist: the page: %w", err)
			}
			refuses, err := strconv.Atoi(match[4])
			if err != nil {
				return nil, fmt.Errorf("checklist: the page: %w", err)
			}
			results[Place{match[1], match[2]}] = Result{Accepts: accepts, Refuses: refuses}
		}
	}
	return results, nil
}
