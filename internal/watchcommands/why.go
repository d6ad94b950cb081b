package watchcommands

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"countersign/internal/console"
	"countersign/internal/issuers/flag"
	"countersign/internal/usercommands"
	"countersign/internal/why"
	"countersign/store"
)

// Why explains a refusal.
type Why struct {
	flag.Of
	ID   string `arg:"" name:"correlation-id" help:"What the refused request was answered with: correlation_id in the error, X-Correlation-Id or x-fapi-interaction-id in the header."`
	JSON bool   `name:"json" help:"Print JSON, one object a line."`
}

// Help implements kong.HelpProvider.
func (Why) Help() string {
	return `Each refusal of any node is kept for a while ([why] in the configuration), without secrets: which client, at which
endpoint, which rule, and what to do. Of a flood only some are kept.

Examples:
  countersign why 6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55`
}

// explained is a refusal with what it means, as JSON.
type explained struct {
	CorrelationID string    `json:"correlation_id"`
	At            time.Time `json:"at"`
	Node          string    `json:"node"`
	ClientID      string    `json:"client_id,omitempty"`
	Method        string    `json:"method"`
	Endpoint      string    `json:"endpoint,omitempty"`
	Status        int       `json:"status"`
	Error         string    `json:"error"`
	Cause         string    `json:"cause"`
	Rule          string    `json:"rule"`
	Section       string    `json:"section"`
	Remedy        string    `json:"remedy"`
}

// Run implements the command.
func (c Why) Run(ctx context.Context, p *usercommands.Program) error {
	return p.WithStore(ctx, func(s store.Store) error {
		found, err := why.Find(ctx, s, c.ID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("no refusal has the correlation id %q: it was not refused, or is not kept any more ([why] in the configuration); the log may have it",
				console.OneLine(c.ID))
		}
		all := make([]explained, len(found))
		for i, r := range found {
			all[i] = explained{
				r.CorrelationID, r.At, r.Node, r.ClientID, r.Method, r.Endpoint, r.Status, r.Code, r.Cause, r.Rule, r.Section, r.Remedy,
			}
		}
		if c.JSON {
			return console.WriteJSONLines(p.Stdout, all)
		}
		for _, r := range all {
			for _, line := range [][2]string{
				{"when", r.At.Format(time.RFC3339) + ", node " + r.Node}, {"client", cmp.Or(r.ClientID, "none was recognised")},
				{"request", r.Method + " " + r.Endpoint}, {"answer", fmt.Sprint(r.Status, " ", r.Error)}, {"why", r.Cause},
				{"rule", r.Rule}, {"section", r.Section}, {"remedy", r.Remedy},
			} {
				fmt.Fprintf(p.Stdout, "%-8s %s\n", line[0], console.OneLine(line[1]))
			}
			fmt.Fprintln(p.Stdout)
		}
		return nil
	})
}
