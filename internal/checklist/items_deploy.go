package checklist

// deployed lists what it takes to run the server on many machines: its image, its chart, its upgrades, its procedures.
func deployed() []Group {
	return []Group{{"NM", "Images, charts, upgrades, procedures", []Item{
		{ID: "NM-120", Section: "OCI Image Format; NIST SP 800-190 §4.1", Requires: "the image holds the program and the libraries that it needs, no shell and nothing else, and says what it is made of"},
		{ID: "NM-121", Section: "NIST SP 800-190 §4.4", Requires: "a container runs as a user without rights on a root that is read-only, and signs"},
		{ID: "NM-122", Section: "Helm, Kubernetes API 1.30", Requires: "what the chart renders is what Kubernetes takes, for each way to set it up"},
		{ID: "NM-123", Section: "Helm, values.schema.json", Requires: "wrong values are refused by the schema, the keys of the configuration among them"},
		{ID: "NM-124", Section: "Kubernetes, Secrets", Requires: "the server accepts the configuration that the chart writes, with files and modes as a kubelet makes them"},
		{ID: "NM-125", Section: "Kubernetes, Pod Security Standards, restricted", Requires: "pods have no rights, no root that can be written, and no token of the cluster"},
		{ID: "NM-126", Section: "Kubernetes, Pod Lifecycle", Requires: "a pod has the time that draining takes, and the cluster never takes two at once"},
		{ID: "NM-127", Section: "Prometheus Operator", Requires: "the alerts of the chart are those that are tested"},
		{ID: "NM-128", Section: "operation", Requires: "nodes behind a load balancer are upgraded from the release before, and rolled back, under load without a failed flow"},
		{ID: "NM-129", Section: "operation", Requires: "each procedure of docs/operations.md works as it is written, and its output is the real one"},
		{ID: "NM-130", Section: "operation", Requires: "each alert leads to its procedure, and each link leads somewhere"},
		{ID: "NM-131", Section: "Kubernetes, Secrets", Requires: "a Secret that changes is read again as a kubelet changes it, whole or not at all"},
	}}}
}
