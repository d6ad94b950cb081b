package checkcommands

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"countersign/fapi/examine"
	"countersign/internal/console"
)

// write prints a report for people.
func write(to io.Writer, r *examine.Report) error {
	line := func(format string, arguments ...any) { _, _ = fmt.Fprintf(to, format+"\n", arguments...) }
	line("%s of %s, %s, %s, at %s", r.Kind, cmp.Or(console.OneLine(r.Client), "no client"), cmp.Or(r.Profile, "no profile"), cmp.Or(r.Method, "no method"),
		r.At.Format(time.RFC3339))
	for _, fact := range r.Facts {
		line("      %-18s %s", fact.Name, console.OneLine(fact.Text))
	}
	for _, f := range r.Findings {
		line("%-5s %-18s %s", outcome(f), console.OneLine(f.Rule), console.OneLine(cmp.Or(f.Text, f.Section)))
		if f.Accepted && !f.Note {
			continue
		}
		line("      %-18s section: %s", "", f.Section)
		if f.Remedy != "" {
			line("      %-18s remedy: %s", "", f.Remedy)
		}
	}
	line("%s", console.OneLine(summary(r)))
	return nil
}
