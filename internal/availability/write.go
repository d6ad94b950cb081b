package availability

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"countersign/internal/chart"
)

// Text writes a report for a terminal.
func (r Report) Text(out io.Writer) error {
	fmt.Fprintf(out, "%s, %s (days in %s)\n", r.Issuer, r.Month, r.Zone)
	fmt.Fprintf(out, "from %s until %s, nodes: %d\n\n", r.From.Format(time.RFC3339), r.Until.Format(time.RFC3339), len(r.Nodes))
	fmt.Fprintf(out, "uptime %s %%, downtime %s %% (%d of %d minutes)\n\n",
		decimal(r.Uptime.Percent, 3), decimal(r.Uptime.Downtime, 3), r.Uptime.Minutes-r.Uptime.Up, r.Uptime.Minutes)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "requests\trefused\tfailed\terrors\taverage\tp50\tp95\tp99\t  endpoint\t")
	for _, f := range append([]Figures{r.All}, r.Endpoints...) {
		name := f.Endpoint
		if name == "" {
			name = "all"
		}
		fmt.Fprintf(table, "%d\t%d\t%d\t%s %%\t%s ms\t%s ms\t%s ms\t%s ms\t  %s\t\n", f.Requests, f.Refused, f.Failed, decimal(f.ErrorRate, 3),
			decimal(f.Average, 1), decimal(f.P50, 0), decimal(f.P95, 0), decimal(f.P99, 0), name)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	days := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(days, "day\tuptime\tdowntime\trequests\terrors\taverage\t")
	for _, d := range r.Days {
		fmt.Fprintf(days, "%s\t%s %%\t%s %%\t%d\t%s %%\t%s ms\t\n", d.Date, decimal(d.Uptime.Percent, 3), decimal(d.Uptime.Downtime, 3),
			d.All.Requests, decimal(d.All.ErrorRate, 3), decimal(d.All.Average, 1))
	}
	return days.Flush()
}

// JSON writes a report as one JSON object.
func (r Report) JSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// CSV writes a line for each day and endpoint (RFC 4180), with one for all endpoints first, named "all".
func (r Report) CSV(out io.Writer) error {
	lines := csv.NewWriter(out)
	lines.UseCRLF = true
	if err := lines.Write([]string{
		"date", "endpoint", "uptime_percent", "downtime_percent", "requests", "refused", "failed", "error_rate_percent", "average_ms",
		"p50_ms", "p95_ms", "p99_ms",
	}); err != nil {
		return err
	}
	for _, day := range r.Days {
		all := day.All
		all.Endpoint = "all"
		for _, f := range append([]Figures{all}, day.Endpoints...) {
			if err := lines.Write([]string{
				day.Date, f.Endpoint, decimal(day.Uptime.Percent, 3), decimal(day.Uptime.Downtime, 3), strconv.Itoa(f.Requests),
				strconv.Itoa(f.Refused), strconv.Itoa(f.Failed), decimal(f.ErrorRate, 3), decimal(f.Average, 1), decimal(f.P50, 1), decimal(f.P95, 1),
				decimal(f.P99, 1),
			}); err != nil {
				return err
			}
		}
	}
	lines.Flush()
	return lines.Error()
}

// SVG draws uptime, time to answer and errors of each day.
func (r Report) SVG() string {
	var places, uptime, average, p95, errors []float64
	for i, day := range r.Days {
		places = append(places, float64(i+1))
		uptime = append(uptime, day.Uptime.Percent)
		average = append(average, day.All.Average)
		p95 = append(p95, day.All.P95)
		errors = append(errors, day.All.ErrorRate)
	}
	return chart.Curves{
		Title: "Availability of " + r.Issuer + ", " + r.Month,
		Subtitle: fmt.Sprintf("Uptime %s %%, %d requests, %s %% of them failed, %s ms on average. Days in %s, from %s until %s.",
			decimal(r.Uptime.Percent, 3), r.All.Requests, decimal(r.All.ErrorRate, 3), decimal(r.All.Average, 1), r.Zone,
			r.From.Format(time.DateTime), r.Until.Format(time.DateTime)),
		Places: places, Unit: "day",
		Panels: []chart.Panel{
			{Unit: "% of minutes up", Curves: []chart.Curve{{Name: "uptime", Values: uptime, Tone: chart.Ours}}},
			{Unit: "ms", Curves: []chart.Curve{{Name: "average", Values: average, Tone: chart.Ours}, {Name: "p95", Values: p95, Tone: chart.Other}}},
			{Unit: "% of requests failed", Curves: []chart.Curve{{Name: "errors", Values: errors, Tone: chart.Other}}},
		},
	}.SVG()
}

// decimal writes a number with so many digits after the point. What is nearly all is not rounded up to all, nor down to nothing.
func decimal(value float64, digits int) string {
	text := strconv.FormatFloat(value, 'f', digits, 64)
	if least := math.Pow10(-digits); value > 0 && text == strconv.FormatFloat(0, 'f', digits, 64) && digits > 0 {
		return strconv.FormatFloat(least, 'f', digits, 64)
	} else if value < 100 && text == strconv.FormatFloat(100, 'f', digits, 64) {
		return strconv.FormatFloat(100-least, 'f', digits, 64)
	}
	return text
}
