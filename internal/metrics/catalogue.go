package metrics

import "strings"

// Kind is what a metric's values are.
type Kind string

// The kinds.
const (
	// Counter only grows.
	Counter Kind = "counter"
	// UpDown grows and falls by what is added and taken.
	UpDown Kind = "up-down counter"
	// Gauge is a value of its own at each look.
	Gauge Kind = "gauge"
	// Histogram counts values in steps.
	Histogram Kind = "histogram"
)

// Metric is a line of the catalogue: a metric with all that its users have to know.
type Metric struct {
	// Name is that in OpenTelemetry, and Unit its unit (UCUM); a unit in braces is only a word, and empty is none.
	Name string
	Kind Kind
	Unit string
	// Labels are the attributes that values may have beside [IssuerLabel], which all have. None of them holds a secret, or names a user, and each has few values.
	Labels []string
	// Meaning is a sentence.
	Meaning string
	// Source is the semantic convention or specification that it comes from, or empty.
	Source string
}

// Prometheus is the metric's name at the Prometheus endpoint.
func (m Metric) Prometheus() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	if m.Unit == "s" {
		name += "_seconds"
	}
	if m.Kind == Counter {
		name += "_total"
	}
	return name
}

// Names of metrics.
const (
	requestDuration = "http.server.request.duration"
	requestsActive  = "http.server.active_requests"
	clientRequests  = "countersign.client.requests"

	storeDuration    = "db.client.operation.duration"
	storeConnections = "db.client.connection.count"
	storeMost        = "db.client.connection.max"
	storeWaiting     = "db.client.connection.pending_requests"
	storeRetries     = "countersign.store.retries"
	storeRefused     = "countersign.store.refused"
	storeConflicts   = "countersign.store.conflicts"
	storeCondition   = "countersign.store.condition"
	standbyLag       = "countersign.store.standby.lag"
	schemaVersion    = "countersign.store.schema"

	hsmDuration = "countersign.hsm.duration"
	hsmWaiting  = "countersign.hsm.waiting"
	hsmUsing    = "countersign.hsm.using"
	hsmExpected = "countersign.hsm.expected"
	hsmRefused  = "countersign.hsm.refused"
	hsmStarts   = "countersign.hsm.starts"
	hsmResting  = "countersign.hsm.resting"
	keyAge      = "countersign.key.age"

	auditEntries     = "countersign.audit.entries"
	auditCheckpoints = "countersign.audit.checkpoints"
	auditUnsealed    = "countersign.audit.unsealed.age"
	backlogWaiting   = "countersign.backlog.waiting"
	backlogAge       = "countersign.backlog.age"

	expires             = "countersign.certificate.not_after"
	documentAge         = "countersign.directory.document.age"
	ingressRefusals     = "countersign.ingress.refusals"
	certificateRefusals = "countersign.client_certificate.refusals"
	ready               = "countersign.ready"
	build               = "countersign.build"
	issuerOpen          = "countersign.issuer.open"

	configurationTaken   = "countersign.configuration.taken"
	configurationInUse   = "countersign.configuration.in_use"
	configurationRefused = "countersign.configuration.refusals"
)

// Catalogue lists every metric of the server, in the order of docs/metrics.md.
func Catalogue() []Metric {
	const http, database = "OpenTelemetry, HTTP metrics", "OpenTelemetry, database client metrics"
	return []Metric{
		{requestDuration, Histogram, "s", []string{
			"http.request.method", "http.route", "http.response.status_code", "url.scheme", "error.type", "oauth.outcome",
		}, "How long requests took. oauth.outcome is `ok`, `client_closed`, or the error code that was answered; error.type is the same for answers of 5xx.", http},
		{requestsActive, UpDown, "{request}", []string{"http.request.method", "url.scheme"}, "Requests that are being answered.", http},
		{clientRequests, Counter, "{request}", []string{"oauth.client_id", "http.route", "oauth.outcome"},
			"Requests of clients that were recognised. Those of `metrics.clients` and the first others have a name, the rest is `other`.", ""},

		{storeDuration, Histogram, "s", []string{"db.system.name", "db.operation.name", "error.type"},
			"How long verbs of the store took, with what they waited. error.type is `overloaded`, `unavailable`, `clock` or `failed`; an answer such as \"used before\" is none.", database},
		{storeConnections, Gauge, "{connection}", []string{"db.client.connection.pool.name", "db.client.connection.state"},
			"Connections to PostgreSQL that are open, `used` or `idle`.", database},
		{storeMost, Gauge, "{connection}", []string{"db.client.connection.pool.name"}, "How many there may be.", database},
		{storeWaiting, Gauge, "{request}", []string{"db.client.connection.pool.name"}, "Verbs that wait for a connection.", database},
		{storeRefused, Counter, "{request}", nil, "Verbs that were refused because they would have waited for too long, or whose caller left.", ""},
		{storeRetries, Counter, "{retry}", []string{"db.operation.name"}, "Verbs that were tried once more, as the database asked for it or went away.", ""},
		{storeConflicts, Counter, "{conflict}", []string{"reason", "kind"},
			"What was refused because somebody was first: `replayed` one-time values (by kind: `client_assertion`, `dpop`, …), `consumed` codes and requests, `conflict` of changes.",
			"RFC 7523 §3, RFC 9449 §11.1"},
		{storeCondition, Gauge, "", []string{"part"},
			"1 while all is well with this node's connection to the store, else 0: its `clock` agrees, `notifications` arrive, its `address` can be read.", ""},
		{standbyLag, Gauge, "s", []string{"standby"},
			"How far a standby is behind in applying what was written, as the primary knows it; absent without the role pg_monitor.", ""},
		{schemaVersion, Gauge, "", []string{"db.system.name"}, "The newest step of the database's schema.", ""},

		{hsmDuration, Histogram, "s", []string{"hsm", "algorithm", "use", "error.type"},
			"How long uses of keys took in each HSM, with what they waited for their turn. use `trial` is the server's own look whether it works. error.type is `overloaded`, `unavailable`, `no_key`, `wrong_signature`, `ciphertext`, `canceled` or `failed`.", ""},
		{hsmWaiting, Gauge, "{request}", []string{"hsm"}, "Uses of keys that wait for their turn.", ""},
		{hsmUsing, Gauge, "{request}", []string{"hsm"}, "Uses of keys under way.", ""},
		{hsmExpected, Gauge, "s", []string{"hsm"}, "How long one that is asked for now would take, as far as is known.", ""},
		{hsmRefused, Counter, "{request}", []string{"hsm"}, "Uses that were refused because they would have come too late, or whose caller left.", ""},
		{hsmStarts, Counter, "{start}", []string{"hsm"}, "Starts of the process that holds the module; more than one is one that hung, crashed, or lacked a key.", ""},
		{hsmResting, Gauge, "", []string{"hsm"}, "1 while an HSM is left alone because it failed, and probed; else 0.", ""},
		{keyAge, Gauge, "s", []string{"kid", "algorithm", "use", "state"},
			"Time since a signing key was made (`published`), activated (`active`) or retired (`retiring`).", ""},

		{auditEntries, Counter, "{entry}", []string{"kind", "event", "allowed"},
			"Entries that this node put into its chain of the audit log: sign-ins, consents, decisions on devices, revocations and all else that [audit.md](audit.md) lists, each once. allowed is `true` or `false` where somebody decided.", ""},
		{auditCheckpoints, Counter, "{checkpoint}", nil, "Checkpoints that this node's chain was sealed with.", ""},
		{auditUnsealed, Gauge, "s", nil, "Time since the first entry that no checkpoint seals yet; 0 without one.", ""},
		{backlogWaiting, Gauge, "{item}", []string{"kind"},
			"What is due and not done: `pings`, `logouts`, `consent_notices`, and `evidence` that is in no chain yet. Counted up to 10,000; of the store, so the same on all nodes.", ""},
		{backlogAge, Gauge, "s", []string{"kind"}, "Since when the oldest of it has been due, or waits; 0 without any.", ""},

		{expires, Gauge, "s", []string{"file"}, "When the certificate that ends first in a configured file does, in Unix time; file is the key of the configuration.", "RFC 5280 §4.1.2.5"},
		{documentAge, Gauge, "s", []string{"directory", "document"}, "Time since a directory's document (its keys, its participants) was last fetched by any node.", ""},
		{ingressRefusals, Counter, "{request}", []string{"event"},
			"Requests that the gate in front of the endpoints refused: `client_certificate_forged` (the header came from somebody else than the ingress), `client_certificate_unreadable`.", "RFC 9440 §3"},
		{certificateRefusals, Counter, "{certificate}", nil, "Client certificates that were not trusted, not the client's own, or of a kind that is not taken; those that failed in the handshake too.", "RFC 8705 §2"},
		{ready, Gauge, "", []string{"part"}, "1 while the `store` takes writes and the `hsm` signs with each active key, else 0. Asked every 15 seconds, as /health/ready does.", ""},
		{issuerOpen, Gauge, "", nil, "1 while an issuer of the configuration is served, 0 while it could not be opened and is tried again. At the Prometheus endpoint only.", ""},
		{configurationTaken, Gauge, "s", nil, "When the configuration in use was taken: at the start, or by the last successful reload; in Unix time.", ""},
		{configurationInUse, Gauge, "", nil, "1 while what the configuration file says is in use, else 0: it was changed and refused.", ""},
		{configurationRefused, Counter, "{reload}", nil, "Reloads of the configuration that were refused since the start.", ""},
		{build, Gauge, "", []string{"version", "go", "fips140"}, "1, with what runs; fips140 is off, on or only.", ""},
	}
}

// lookup finds a metric of the catalogue.
func lookup(name string) Metric {
	for _, metric := range Catalogue() {
		if metric.Name == name {
			return metric
		}
	}
	panic("metrics: " + name + " is not in the catalogue") // a test makes all of them
}
