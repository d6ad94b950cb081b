package checklist

// measured lists what an operator sees of the server: metrics, dashboards, alerts, and the report of availability.
func measured() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Metrics and reports",
		Items: []Item{
			{ID: "NM-01", Section: "OpenTelemetry, HTTP metrics", Requires: "requests are measured by method, route, status and outcome, and those in flight are counted"},
			{ID: "NM-02", Section: "OWASP ASVS 5.0 §16.2.5", Requires: "a label holds no secret and no name of a user, and what comes from outside has a bound"},
			{ID: "NM-03", Section: "OpenTelemetry, database client metrics", Requires: "each verb of the store is measured, with what failed; an answer is no failure, a further try is counted"},
			{ID: "NM-04", Section: "RFC 7523 §3, RFC 9449 §11.1", Requires: "one-time values that come again are counted, by kind"},
			{ID: "NM-05", Section: "OWASP ASVS 5.0 §16.3", Requires: "uses of keys are measured in each HSM, with its queue and its faults"},
			{ID: "NM-06", Section: "OWASP ASVS 5.0 §16.3", Requires: "entries of the audit log are counted once, by event and decision; the time since it was sealed is known"},
			{ID: "NM-07", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "readiness, backlogs, keys, certificates and connections are shown as they were within a minute, or not at all"},
			{ID: "NM-08", Section: "RFC 9440 §3, RFC 8705 §2", Requires: "what is refused in front of the endpoints is counted"},
			{ID: "NM-09", Section: "OpenTelemetry, metrics", Requires: "docs/metrics.md lists every metric with type, unit and labels"},
			{ID: "NM-10", Section: "OTLP 1.9, Prometheus text format", Requires: "metrics are read by Prometheus, and sent to a collector, which may be away"},
			{ID: "NM-11", Section: "OpenMetrics 1.0, exemplars", Requires: "an exemplar leads from a request to its trace, through the HSM"},
			{ID: "NM-12", Section: "Grafana", Requires: "the dashboards are what is described, and ask for metrics that there are"},
			{ID: "NM-13", Section: "Prometheus", Requires: "each query of a dashboard finds something in a real Prometheus that read a server under load"},
			{ID: "NM-14", Section: "Prometheus, promtool", Requires: "each alert is shown to fire and to be quiet"},
			{ID: "NM-15", Section: "Prometheus", Requires: "each alert links its runbook"},
			{ID: "NM-16", Section: "OpenTelemetry SDK", Requires: "what is measured of a request allocates nothing"},
			{ID: "NM-17", Section: "OWASP ASVS 5.0 §13.4", Requires: "beyond this machine the metrics' listener is TLS and asks for a certificate"},
			{ID: "NM-18", Section: "OWASP ASVS 5.0 §13.4", Requires: "nothing else can be configured"},
			{ID: "NM-20", Section: "EBA/GL/2018/07, Guideline 2", Requires: "each node keeps what it answered in each hour, and in which minutes it was ready, and adds to what others kept"},
			{ID: "NM-21", Section: "EBA/GL/2018/07, Guideline 2", Requires: "a report has uptime, time to answer and errors of each day and endpoint"},
			{ID: "NM-22", Section: "EBA/GL/2018/07, Guideline 2", Requires: "as text, CSV, JSON and a picture"},
			{ID: "NM-30", Section: "OWASP ASVS 5.0 §16.2.5", Requires: "why a request was refused is kept for a while, without secrets and bounded, of all nodes together"},
			{ID: "NM-31", Section: "RFC 6749 §5.2", Requires: "each error code is explained: the section, and what to do"},
			{ID: "NM-32", Section: "OWASP ASVS 5.0 §16.5.1", Requires: "an operator finds a refusal by the correlation id that its client has"},
		},
	}}
}
