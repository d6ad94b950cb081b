package store

import (
	"context"
	"time"
)

// Meter is told how long the verbs of a store take. It must not block, and is called from any goroutine.
type Meter interface {
	// Verb is told of the end of a verb: took is the time from its call, with what it waited, and err how it ended.
	Verb(ctx context.Context, verb string, took time.Duration, err error)
	// Retried is told that a verb is tried once more, because the database asked for it or went away.
	Retried(ctx context.Context, verb string)
}

// Kinds of [Backlog]s.
const (
	// BacklogPings are decided backchannel requests whose clients are not notified yet (CIBA Core §10.2).
	BacklogPings = "pings"
	// BacklogLogouts are ended sessions that clients are not told of yet (OpenID Connect Back-Channel Logout 1.0).
	BacklogLogouts = "logouts"
	// BacklogConsentNotices are changed consents that the operator's webhook does not know yet.
	BacklogConsentNotices = "consent_notices"
	// BacklogEvidence is evidence that is in no chain of the audit log yet.
	BacklogEvidence = "evidence"
)

// MostBacklog is up to which number a [Backlog] is counted.
const MostBacklog = 10_000

// Backlog is what waits for this server to do it.
type Backlog struct {
	// Kind is one of the constants.
	Kind string
	// Waiting is how much waits, [MostBacklog] for that or more.
	Waiting int
	// Oldest is since when the first has been due, or waits; zero when nothing does. What is tried again later is not due.
	Oldest time.Time
}

// Standby is a database that follows the one that this node writes to.
type Standby struct {
	// Name is the application_name of its connection.
	Name string
	// Lag is how far behind it is in applying what was written (replay_lag of pg_stat_replication); zero when nothing is
	// written.
	Lag time.Duration
}

// Pool is what a node's connections to its database do.
type Pool struct {
	// Used and Idle are how many are open, and Most how many there may be.
	Used, Idle, Most int
	// Waiting is how many verbs wait for a connection, and Refused counts those that would have waited for too long, or whose
	// caller left.
	Waiting int
	Refused uint64
}

// Pooled is a store with a pool of connections.
type Pooled interface {
	// Pool returns at once.
	Pool() Pool
	// Standbys asks the database who follows it. Where the role may not see how far behind they are, there are none.
	Standbys(ctx context.Context) ([]Standby, error)
}

// LatencyBounds are the upper bounds of [ServiceHour].Latency, but for the last count, which is of what took longer.
func LatencyBounds() [9]time.Duration {
	const ms = time.Millisecond
	return [9]time.Duration{10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, time.Second, 2500 * ms, 5 * time.Second}
}

// ServiceHour is what a node has answered at one endpoint in one hour.
type ServiceHour struct {
	// Node is the node's name.
	Node string
	// Hour is its beginning, in UTC.
	Hour time.Time
	// Endpoint is the path pattern of the endpoint; empty for the node itself, which has Minutes alone.
	Endpoint string
	// Requests is how many were answered. Refused of them were for their sender to mend (4xx), and Failed for the operator (5xx).
	Requests, Refused, Failed int
	// Took is how long they took, all together.
	Took time.Duration
	// Latency counts them by how long they took, in the steps of [LatencyBounds].
	Latency [10]int
	// Minutes has a bit for each minute, the first one the lowest, in which the node was ready.
	Minutes uint64
}

// ServiceHoursLast is how long service hours are kept, by which a year can be compared with the one before.
const ServiceHoursLast = 800 * 24 * time.Hour

// Figures are the verbs of what an operator watches and reports.
type Figures interface {
	// Backlogs returns the backlog of each kind, in the order of the constants.
	Backlogs(ctx context.Context) ([]Backlog, error)
	// AddServiceHours adds to what is stored of the same node, hour and endpoint: counts are added, minutes united. All or
	// none are added.
	AddServiceHours(ctx context.Context, hours ...ServiceHour) error
	// ServiceHours lists the hours that begin in a time, from included and until not, by hour, endpoint and node.
	ServiceHours(ctx context.Context, from, until time.Time) ([]ServiceHour, error)
}
