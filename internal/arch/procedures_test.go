package arch

import (
	"slices"
	"strings"
	"testing"
)

// procedures are the sections of docs/operations.md that say what to do, by what they are linked by.
func procedures(page string) []string {
	_, after, _ := strings.Cut(page, "\n## Procedures\n")
	return anchors(after)
}

// unlinked are procedures that neither an alert nor the table of the first night leads to.
func unlinked(operations, alerts string) (found []string) {
	night, _, _ := strings.Cut(operations, "\n## Install\n")
	for _, procedure := range procedures(operations) {
		if !strings.Contains(alerts, "(operations.md#"+procedure+")") && !strings.Contains(night, "(#"+procedure+")") {
			found = append(found, procedure)
		}
	}
	return found
}

// Covers: NM-130. Who is woken finds each procedure, by the alert that woke them or by the table of the first night. That links lead
// somewhere is TestLinks' matter.
func TestNM130Procedures(t *testing.T) {
	operations, alerts := read(t, "../../docs/operations.md"), read(t, "../../docs/alerts.md")
	t.Run("accepts the procedures that there are", func(t *testing.T) {
		all := procedures(operations)
		for _, wanted := range []string{"rotate-a-signing-key", "replace-a-certificate", "the-hsm-is-away", "the-database-is-away", "the-database-fails-over",
			"restore-the-database", "a-client-is-compromised", "a-directory-is-away", "an-upgrade-under-load", "a-node-is-lost"} {
			if !slices.Contains(all, wanted) {
				t.Errorf("there is no procedure %s", wanted)
			}
		}
		for _, procedure := range unlinked(operations, alerts) {
			if procedure != "move-to-postgresql" { // nobody is woken for that
				t.Errorf("nothing leads to %s", procedure)
			}
		}
	})
	t.Run("accepts an alert for each that something is watched for", func(t *testing.T) {
		for _, watched := range []string{"the-hsm-is-away", "the-database-is-away", "the-database-fails-over", "a-node-is-lost", "rotate-a-signing-key",
			"replace-a-certificate", "a-client-is-compromised", "a-directory-is-away", "an-upgrade-under-load"} {
			if !strings.Contains(alerts, "(operations.md#"+watched+")") {
				t.Errorf("no alert leads to %s", watched)
			}
		}
	})
	t.Run("refuses a procedure that nothing leads to", func(t *testing.T) {
		if found := unlinked(operations+"\n### A flood\n", alerts); !slices.Contains(found, "a-flood") {
			t.Errorf("found %s", found)
		}
	})
}
