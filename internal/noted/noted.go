// Package noted is the file in which a server notes what it runs with, so that a command can say what a reload would change.
package noted

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"countersign/internal/config/change"
	"countersign/internal/wholefile"
)

// note is what the file holds.
type note struct {
	// File is that of the configuration, TakenAt when it was taken, and Values what the server runs with.
	File    string        `json:"file"`
	TakenAt time.Time     `json:"taken_at"`
	Values  change.Values `json:"values"`
}

// Write notes the values of the configuration in a file, which were taken at a time.
func Write(name, configuration string, takenAt time.Time, values change.Values) error {
	text, err := json.MarshalIndent(note{configuration, takenAt.UTC(), values}, "", " ")
	if err != nil {
		return err
	}
	return wholefile.Write(name, append(text, '\n'), 0o600)
}

// Read reads what was noted, and when the server took it.
func Read(name string) (change.Values, time.Time, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	var found note
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return found.Values, found.TakenAt, nil
}
