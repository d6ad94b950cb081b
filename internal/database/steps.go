package database

import (
	"fmt"
	"time"
)

// ListedStep is a step of the schema as it is listed, as JSON too.
type ListedStep struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
}

// List describes the steps.
func List(steps []Migration) []ListedStep {
	listed := make([]ListedStep, len(steps))
	for i, step := range steps {
		listed[i] = ListedStep{step.Version, step.Name, step.AppliedAt.UTC()}
	}
	return listed
}

// Plan says in lines which steps would be applied, and whether nodes that run can go on meanwhile.
func Plan(steps []Migration) (lines []string) {
	var newest, oldest int64
	for _, step := range steps {
		if !step.AppliedAt.IsZero() {
			newest = step.Version
			continue
		}
		lines = append(lines, fmt.Sprintf("would apply %d %s", step.Version, step.Name))
		oldest = max(oldest, step.Compatible)
	}
	switch {
	case oldest == 0:
		return append(lines, "the schema is up to date")
	case newest == 0:
		return lines
	case oldest <= newest:
		return append(lines, fmt.Sprintf("nodes that run now can go on: their schema, %d, is compatible", newest))
	}
	return append(lines, fmt.Sprintf("stop the nodes that run now first: the new schema needs release schema %d, theirs is %d", oldest, newest))
}
