// Package moment reads times as operators write them.
package moment

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a date, a time, or how long ago; empty is the zero time.
func Parse(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; give 2026-11-01, 2026-11-01T12:00:00Z, 30d or 12h", text)
}
