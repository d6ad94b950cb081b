package checklist

// issuersMeasured lists what operators see of several issuers, and how what belongs to the process changes while it runs.
func issuersMeasured() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Several issuers: metrics, and what belongs to the process",
		Items: []Item{
			{ID: "NM-190", Section: "Prometheus, OpenTelemetry", Requires: "each metric has the name of its issuer; those of all issuers are served together, and what one counts is nothing of another's"},
			{ID: "NM-191", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "an issuer that could not be opened is shown, while its process serves the metrics of the others"},
			{ID: "NM-192", Section: "issue N, 5", Requires: "metrics say of each issuer whether what its file says is in use"},
			{ID: "NM-193", Section: "issue N, 5", Requires: "each key that needs a restart says why, in the reference and in config check"},
			{ID: "NM-194", Section: "RFC 9112 §9.6, RFC 9113 §6.8", Requires: "timeouts and the size of headers change for new connections, and no request is lost on those that are open"},
			{ID: "NM-195", Section: "issue N, 5", Requires: "addresses of listeners change: the new one is open before the old one is drained and closed; what cannot be opened changes nothing, and names its key"},
			{ID: "NM-196", Section: "issue N, 5", Requires: "a server takes addresses, timeouts, the size of headers, its admin listener and the form of its log anew under load without losing a request"},
			{ID: "NM-197", Section: "Kubernetes, Secrets", Requires: "files that are replaced by a rename or by a link that is turned are read again, in folders too, and nothing that is written by half"},
			{ID: "NM-198", Section: "issue N, 5", Requires: "what is written while files are read, or put into use, is read again and not taken for what is in use"},
			{ID: "NM-199", Section: "RFC 9110 §15.5.20", Requires: "no request is lost while an issuer is changed again and again"},
			{ID: "NM-200", Section: "file-hierarchy(7)", Requires: "init lays out a further issuer of a service: a configuration beside the service's, and a state folder of its own that the unit lets the service write"},
			{ID: "NM-201", Section: "sd_watchdog_enabled(3)", Requires: "a process of several issuers tells systemd that it lives, and of ready, reload and stop"},
			{ID: "NM-202", Section: "Grant Management for OAuth 2.0 §5, §6", Requires: "grants that clients manage of one issuer are nothing to another: they are neither read nor changed there"},
		},
	}}
}
