package availability

import (
	"maps"
	"math/bits"
	"slices"
	"time"

	"countersign/store"
)

// Figures are those of one endpoint, or of all, in some time.
type Figures struct {
	// Endpoint is the path pattern; empty for all.
	Endpoint string `json:"endpoint,omitempty"`
	Requests int    `json:"requests"`
	// Refused are answers of 4xx, which are for their sender to mend, and Failed those of 5xx.
	Refused int `json:"refused"`
	Failed  int `json:"failed"`
	// ErrorRate is Failed of Requests, in percent.
	ErrorRate float64 `json:"error_rate_percent"`
	// Average, P50, P95 and P99 are times to answer, in milliseconds; the latter three are estimated within the steps of
	// [store.LatencyBounds].
	Average float64 `json:"average_ms"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
}

// Uptime is in how much of a time the server was ready.
type Uptime struct {
	// Minutes is how many were looked at, and Up in how many at least one node was ready.
	Minutes int `json:"minutes"`
	Up      int `json:"up_minutes"`
	// Percent is Up of Minutes; 0 without any.
	Percent float64 `json:"uptime_percent"`
	// Downtime is the rest, in percent.
	Downtime float64 `json:"downtime_percent"`
}

// Day is one day of a report.
type Day struct {
	// Date is such as 2026-11-30.
	Date      string    `json:"date"`
	Uptime    Uptime    `json:"uptime"`
	All       Figures   `json:"all"`
	Endpoints []Figures `json:"endpoints"`
}

// Report is about one month.
type Report struct {
	Issuer string `json:"issuer"`
	// Month is such as 2026-11, and Zone the time zone of its days.
	Month string `json:"month"`
	Zone  string `json:"time_zone"`
	// From and Until are the time that the report is about: the month, as far as it is over, from the first hour that was recorded.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Nodes are those that have answered.
	Nodes     []string  `json:"nodes"`
	Uptime    Uptime    `json:"uptime"`
	All       Figures   `json:"all"`
	Endpoints []Figures `json:"endpoints"`
	Days      []Day     `json:"days"`
}

// Month are the bounds of a month in a time zone.
func Month(text string, zone *time.Location) (from, until time.Time, err error) {
	from, err = time.ParseInLocation("2006-01", text, zone)
	return from, from.AddDate(0, 1, 0), err
}

// Before is how long before a month hours are looked at: any of them says that the server was there when the month began.
const Before = 35 * 24 * time.Hour

// New makes a report of the hours from [Before] a month until its end. now is the time: what is to come is no downtime.
func New(issuer, month string, zone *time.Location, hours []store.ServiceHour, now time.Time) (Report, error) {
	from, until, err := Month(month, zone)
	if err != nil {
		return Report{}, err
	}
	r := Report{Issuer: issuer, Month: month, Zone: zone.String(), From: from, Until: until}
	if now.Before(until) {
		r.Until = now.Truncate(time.Minute)
	}
	if first := begin(hours, until); first.After(from) {
		r.From = first
	}
	if r.Until.Before(r.From) {
		r.Until = r.From
	}
	nodes, up := map[string]bool{}, map[int64]uint64{}
	whole, days := sums{}, map[string]sums{}
	for _, hour := range hours {
		if hour.Hour.Before(from) || !hour.Hour.Before(until) {
			continue
		}
		nodes[hour.Node] = true
		if hour.Endpoint == "" {
			up[hour.Hour.Unix()] |= hour.Minutes
			continue
		}
		date := hour.Hour.In(zone).Format(time.DateOnly)
		if days[date] == nil {
			days[date] = sums{}
		}
		whole.add(hour)
		days[date].add(hour)
	}
	r.Nodes = slices.Sorted(maps.Keys(nodes))
	r.Uptime = uptime(up, r.From, r.Until)
	r.All, r.Endpoints = whole.figures()
	for day := from; day.Before(r.Until); day = day.AddDate(0, 0, 1) {
		end := day.AddDate(0, 0, 1)
		if !end.After(r.From) {
			continue
		}
		one := Day{Date: day.Format(time.DateOnly), Uptime: uptime(up, later(day, r.From), earlier(end, r.Until))}
		one.All, one.Endpoints = days[one.Date].figures()
		r.Days = append(r.Days, one)
	}
	return r, nil
}

// begin is the first minute of the first hour in which a node was ready; until when there is none.
func begin(hours []store.ServiceHour, until time.Time) time.Time {
	first := until
	for _, hour := range hours {
		if hour.Minutes == 0 {
			continue
		}
		if at := hour.Hour.Add(time.Duration(bits.TrailingZeros64(hour.Minutes)) * time.Minute); at.Before(first) {
			first = at
		}
	}
	return first
}

// uptime counts the minutes of a time in which some node was ready.
func uptime(up map[int64]uint64, from, until time.Time) (u Uptime) {
	for minute := from.UTC().Truncate(time.Minute); minute.Before(until); minute = minute.Add(time.Minute) {
		u.Minutes++
		if up[minute.Truncate(time.Hour).Unix()]&(1<<minute.Minute()) != 0 {
			u.Up++
		}
	}
	if u.Minutes > 0 {
		u.Percent = percent(u.Up, u.Minutes)
		u.Downtime = percent(u.Minutes-u.Up, u.Minutes)
	}
	return u
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sums are hours that were added, by endpoint.
type sums map[string]*store.ServiceHour

func (s sums) add(hour store.ServiceHour) {
	if s[hour.Endpoint] == nil {
		s[hour.Endpoint] = &store.ServiceHour{Endpoint: hour.Endpoint}
	}
	add(s[hour.Endpoint], hour)
}

// figures are those of all, and of each endpoint, the one with the most requests first.
func (s sums) figures() (all Figures, each []Figures) {
	var whole store.ServiceHour
	each = []Figures{}
	for _, endpoint := range slices.Sorted(maps.Keys(s)) {
		add(&whole, *s[endpoint])
		each = append(each, figures(*s[endpoint]))
	}
	slices.SortStableFunc(each, func(a, b Figures) int { return b.Requests - a.Requests })
	return figures(whole), each
}

func figures(sum store.ServiceHour) Figures {
	f := Figures{Endpoint: sum.Endpoint, Requests: sum.Requests, Refused: sum.Refused, Failed: sum.Failed}
	if sum.Requests == 0 {
		return f
	}
	f.ErrorRate = percent(sum.Failed, sum.Requests)
	f.Average = milliseconds(sum.Took) / float64(sum.Requests)
	f.P50, f.P95, f.P99 = quantile(sum.Latency, 0.5), quantile(sum.Latency, 0.95), quantile(sum.Latency, 0.99)
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile estimates below which time a part of the answers came, in milliseconds: evenly within a step, and no more than the last
// bound.
func quantile(counts [10]int, part float64) float64 {
	total := 0
	for _, count := range counts {
		total += count
	}
	rank, before, lower := part*float64(total), 0.0, 0.0
	for i, bound := range store.LatencyBounds() {
		upper, here := milliseconds(bound), float64(counts[i])
		if here > 0 && before+here >= rank {
			return lower + (upper-lower)*(rank-before)/here
		}
		before, lower = before+here, upper
	}
	return lower
}
