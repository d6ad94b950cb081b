// Package watchcommands is the command line for what an operator watches: why a request was refused, and how available the server was.
package watchcommands

import (
	"context"
	"os"
	"time"

	"countersign/internal/admin"
	"countersign/internal/availability"
	"countersign/internal/issuers/flag"
	"countersign/internal/usercommands"
	"countersign/store"
)

// Report reports what the server kept of its own availability.
type Report struct {
	flag.Of
	Month string `placeholder:"MONTH" help:"The month, such as 2026-11; the one before this by default."`
	Zone  string `default:"UTC" placeholder:"ZONE" help:"Time zone of its days, such as Europe/Berlin."`
	SVG   string `name:"svg" type:"path" placeholder:"FILE" help:"Draw a picture too, in this file."`
	JSON  bool   `name:"json" xor:"form" help:"Print JSON."`
	CSV   bool   `name:"csv" xor:"form" help:"Print CSV: a line for each day and endpoint."`
}

// Help implements kong.HelpProvider.
func (Report) Help() string {
	return `The server keeps of each hour and endpoint how many requests it answered, how fast and how many failed, and
in which minutes it was ready, for 800 days (docs/metrics.md): what a regulator asks a bank to report
(EBA/GL/2018/07 Guideline 2). A minute in which any node was ready is up. Refused requests (4xx) are for
their sender to mend, failed ones (5xx) for the bank.

Examples:
  countersign report
  countersign report --month 2026-11 --zone Europe/Berlin --svg 2026-11.svg
  countersign report --month 2026-11 --csv > 2026-11.csv`
}

// Run implements the command.
func (c Report) Run(ctx context.Context, p *usercommands.Program) error {
	zone, err := time.LoadLocation(c.Zone)
	if err != nil || c.Zone == "Local" {
		return admin.Usagef("--zone: %q is no time zone such as Europe/Berlin", c.Zone)
	}
	now := p.Now()
	if c.Month == "" {
		year, month, _ := now.In(zone).Date()
		c.Month = time.Date(year, month-1, 1, 0, 0, 0, 0, zone).Format("2006-01")
	}
	from, until, err := availability.Month(c.Month, zone)
	if err != nil {
		return admin.Usagef("--month: %q is no month such as 2026-11", c.Month)
	}
	configured, err := p.Config()
	if err != nil {
		return err
	}
	return p.WithStore(ctx, func(s store.Store) error {
		hours, err := s.ServiceHours(ctx, from.Add(-availability.Before), until)
		if err != nil {
			return err
		}
		report, err := availability.New(configured.Issuer, c.Month, zone, hours, now)
		if err != nil {
			return err
		}
		if c.SVG != "" {
			if err := os.WriteFile(c.SVG, []byte(report.SVG()), 0o644); err != nil {
				return err
			}
		}
		switch {
		case c.JSON:
			return report.JSON(p.Stdout)
		case c.CSV:
			return report.CSV(p.Stdout)
		}
		return report.Text(p.Stdout)
	})
}
