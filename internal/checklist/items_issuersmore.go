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
		},
	}}
}
