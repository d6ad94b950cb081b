// Package dashboards describes the Grafana dashboards of deploy/grafana, and writes them as Grafana reads them.
//
// Every query is run by a test against a real Prometheus that has read a server under load, and finds something there.
package dashboards

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Dashboard is one dashboard.
type Dashboard struct {
	// UID is its identifier, and the name of its file.
	UID, Title string
	Rows       []Row
}

// Row is panels below a title.
type Row struct {
	Title  string
	Panels []Panel
}

// Kinds of panels.
const (
	Series = "timeseries"
	Stat   = "stat"
	Table  = "table"
)

// Panel is one panel.
type Panel struct {
	Title string
	// Kind is one of the constants, Unit one of Grafana's units.
	Kind, Unit string
	// About is a sentence for whoever asks what it means.
	About   string
	Queries []Query
	// Exemplars shows the traces of single requests.
	Exemplars bool
}

// Query is a PromQL expression with the legend of its series.
type Query struct{ Expr, Legend string }

// Instances and Issuers are the queries of the variables by which nodes and issuers are chosen.
const (
	Instances = `label_values(countersign_build, instance)`
	Issuers   = `label_values(countersign_build, issuer)`
)

// On chooses the nodes, and Of the issuers too: one of them goes between the braces of each selector. What is of the process is of no
// issuer.
const (
	On = `instance=~"$instance"`
	Of = On + `,issuer=~"$issuer"`
)

// Dashboards lists all.
func Dashboards() []Dashboard { return []Dashboard{service(), machinery(), duties()} }

// selectors are those of a query: a metric and what opens its braces.
var selectors = regexp.MustCompile(`([a-z][a-z0-9_]*)\{(&?)`)

// selecting puts the choice of nodes and issuers into each selector that a query writes as {} or {&…}.
func selecting(expr string) string {
	return selectors.ReplaceAllStringFunc(expr, func(found string) string {
		parts := selectors.FindStringSubmatch(found)
		choice := Of
		if strings.HasPrefix(parts[1], "process_") {
			choice = On
		}
		if parts[2] != "" {
			choice += ","
		}
		return parts[1] + "{" + choice
	})
}

func query(expr, legend string) Query { return Query{selecting(expr), legend} }

func service() Dashboard {
	const requests = "http_server_request_duration_seconds"
	return Dashboard{"countersign-service", "Countersign: service", []Row{
		{"Now", []Panel{
			{"Nodes ready", Stat, "none", "Nodes whose store takes writes and whose HSM signs.", []Query{query(`sum by (issuer) (min by (instance, issuer) (countersign_ready{}))`, "{{issuer}}")}, false},
			{"Requests a second", Stat, "reqps", "All endpoints but the probes of load balancers.", []Query{query(`sum(rate(`+requests+`_count{&http_route!~"/health/.*"}[$__rate_interval]))`, "")}, false},
			{"Answers of 5xx", Stat, "percentunit", "What was the server's fault, of all answers.", []Query{query(
				`sum(rate(`+requests+`_count{&http_response_status_code=~"5.."}[$__rate_interval]) or vector(0)) / sum(rate(`+requests+`_count{}[$__rate_interval]))`, "")}, false},
			{"In flight", Stat, "none", "Requests that are being answered.", []Query{query(`sum(http_server_active_requests{})`, "")}, false},
		}},
		{"Requests", []Panel{
			{"Requests by issuer", Series, "reqps", "Of several issuers in one process.", []Query{query(`sum by (issuer) (rate(`+requests+`_count{&http_route!~"/health/.*|"}[$__rate_interval]))`, "{{issuer}}")}, false},
			{"Answers of 5xx by issuer", Series, "percentunit", "What was the server's fault, of all answers of each issuer.", []Query{query(
				`(sum by (issuer) (rate(`+requests+`_count{&http_response_status_code=~"5.."}[$__rate_interval])) or 0 * sum by (issuer) (rate(`+requests+`_count{}[$__rate_interval]))) / sum by (issuer) (rate(`+requests+`_count{}[$__rate_interval]))`, "{{issuer}}")}, false},
			{"Issuers that are open", Series, "bool_yes_no", "0 while one could not be opened; it is tried again every 5 seconds.", []Query{query(`min by (instance, issuer) (countersign_issuer_open{})`, "{{instance}} {{issuer}}")}, false},
			{"Requests by endpoint", Series, "reqps", "", []Query{query(`sum by (http_route) (rate(`+requests+`_count{&http_route!~"/health/.*|"}[$__rate_interval]))`, "{{http_route}}")}, false},
			{"Refusals by error", Series, "reqps", "By the error code that was answered; docs/errors.md.", []Query{query(
				`sum by (oauth_outcome) (rate(`+requests+`_count{&oauth_outcome!~"ok|client_closed"}[$__rate_interval]))`, "{{oauth_outcome}}")}, false},
			{"Time to answer, 95 of 100", Series, "s", "Points are single requests: they lead to their trace, through the HSM.", []Query{query(
				`histogram_quantile(0.95, sum by (le, http_route) (rate(`+requests+`_bucket{&http_route!~"/health/.*|"}[$__rate_interval])))`, "{{http_route}}")}, true},
			{"Requests by client", Series, "reqps", "Clients beyond metrics.other_clients are counted together.", []Query{query(
				`topk(15, sum by (oauth_client_id) (rate(countersign_client_requests_total{}[$__rate_interval])))`, "{{oauth_client_id}}")}, false},
			{"Refusals by client", Series, "reqps", "", []Query{query(
				`topk(15, sum by (oauth_client_id, oauth_outcome) (rate(countersign_client_requests_total{&oauth_outcome!="ok"}[$__rate_interval])))`, "{{oauth_client_id}} {{oauth_outcome}}")}, false},
			{"One-time values used twice", Series, "short", "Assertions, proofs, codes and requests that came again: a client with a bug, or somebody who replays.", []Query{query(
				`sum by (reason, kind) (increase(countersign_store_conflicts_total{}[$__rate_interval]))`, "{{reason}} {{kind}}")}, false},
		}},
		{"People", []Panel{
			{"Sign-ins", Series, "short", "", []Query{query(
				`sum by (event) (increase(countersign_audit_entries_total{&event=~"signed_in|sign_in_failed|sign_in_throttled"}[$__rate_interval]))`, "{{event}}")}, false},
			{"Decisions in the browser", Series, "short", "", []Query{query(
				`sum by (allowed) (increase(countersign_audit_entries_total{&event="consent_decided"}[$__rate_interval]))`, "allowed: {{allowed}}")}, false},
			{"Decisions on devices (CIBA)", Series, "short", "", []Query{query(
				`sum by (allowed) (increase(countersign_audit_entries_total{&event="backchannel_decided"}[$__rate_interval]))`, "allowed: {{allowed}}")}, false},
			{"Grants", Series, "short", "", []Query{query(
				`sum by (event) (increase(countersign_audit_entries_total{&event=~"grant_made|grant_refreshed|grant_revoked|tokens_issued|code_used_twice"}[$__rate_interval]))`, "{{event}}")}, false},
		}},
	}}
}

func machinery() Dashboard {
	return Dashboard{"countersign-hsm-store", "Countersign: HSM and store", []Row{
		{"HSM", []Panel{
			{"Signatures", Series, "ops", "By HSM and what was signed.", []Query{query(
				`sum by (issuer, hsm, use) (rate(countersign_hsm_duration_seconds_count{&use!="trial"}[$__rate_interval]))`, "{{issuer}} {{hsm}} {{use}}")}, false},
			{"Time for a signature, 95 of 100", Series, "s", "With what it waited for its turn.", []Query{query(
				`histogram_quantile(0.95, sum by (le, issuer, hsm) (rate(countersign_hsm_duration_seconds_bucket{&use!="trial"}[$__rate_interval])))`, "{{issuer}} {{hsm}}")}, true},
			{"Faults", Series, "ops", "Another HSM may have succeeded in its place.", []Query{query(
				`sum by (issuer, hsm, error_type) (rate(countersign_hsm_duration_seconds_count{&error_type!=""}[$__rate_interval])) or sum by (issuer, hsm) (0 * countersign_hsm_resting{})`, "{{issuer}} {{hsm}} {{error_type}}")}, false},
			{"Queue", Series, "short", "", []Query{query(`countersign_hsm_waiting{}`, "{{instance}} {{issuer}} {{hsm}} waiting"), query(`countersign_hsm_using{}`, "{{instance}} {{issuer}} {{hsm}} under way")}, false},
			{"Expected time", Series, "s", "How long a signature that is asked for now would take. Above signer.queue_time it is refused.", []Query{query(`countersign_hsm_expected_seconds{}`, "{{instance}} {{issuer}} {{hsm}}")}, false},
			{"Refused for want of time", Series, "ops", "", []Query{query(`sum by (issuer, hsm) (rate(countersign_hsm_refused_total{}[$__rate_interval]))`, "{{issuer}} {{hsm}}")}, false},
			{"Starts of the module", Series, "short", "The process that holds the module was replaced: it hung, crashed, or lacked a key.", []Query{query(
				`sum by (instance, issuer, hsm) (increase(countersign_hsm_starts_total{}[$__rate_interval]))`, "{{instance}} {{issuer}} {{hsm}}")}, false},
			{"HSMs left alone", Series, "bool_yes_no", "1 while one is probed because it failed.", []Query{query(`countersign_hsm_resting{}`, "{{instance}} {{issuer}} {{hsm}}")}, false},
			{"Keys", Table, "s", "How long each key has been in its state.", []Query{query(`max by (issuer, kid, algorithm, use, state) (countersign_key_age_seconds{})`, "")}, false},
		}},
		{"Store", []Panel{
			{"Verbs", Series, "ops", "", []Query{query(`sum by (db_operation_name) (rate(db_client_operation_duration_seconds_count{}[$__rate_interval]))`, "{{db_operation_name}}")}, false},
			{"Time of verbs, 95 of 100", Series, "s", "", []Query{query(
				`histogram_quantile(0.95, sum by (le, db_operation_name) (rate(db_client_operation_duration_seconds_bucket{}[$__rate_interval])))`, "{{db_operation_name}}")}, true},
			{"Failures", Series, "ops", "An answer such as \"used before\" is none.", []Query{query(
				`sum by (error_type) (rate(db_client_operation_duration_seconds_count{&error_type!=""}[$__rate_interval])) or sum by (db_system_name) (0 * countersign_store_schema{})`, "{{error_type}}")}, false},
			{"Tried once more", Series, "ops", "", []Query{query(
				`sum by (db_operation_name) (rate(countersign_store_retries_total{}[$__rate_interval])) or sum by (db_system_name) (0 * countersign_store_schema{})`, "{{db_operation_name}}")}, false},
			{"Connections", Series, "short", "PostgreSQL only.", []Query{
				query(`sum by (instance, issuer, db_client_connection_state) (db_client_connection_count{})`, "{{instance}} {{issuer}} {{db_client_connection_state}}"), query(`db_client_connection_max{}`, "{{instance}} {{issuer}} most")}, false},
			{"Waiting for a connection", Series, "short", "PostgreSQL only.", []Query{query(`db_client_connection_pending_requests{}`, "{{instance}} {{issuer}}")}, false},
			{"Refused for want of a connection", Series, "ops", "PostgreSQL only.", []Query{query(`sum by (instance, issuer) (rate(countersign_store_refused_total{}[$__rate_interval]))`, "{{instance}} {{issuer}}")}, false},
			{"Standbys behind", Series, "s", "As the primary knows it; the server's role needs pg_monitor.", []Query{query(`max by (issuer, standby) (countersign_store_standby_lag_seconds{})`, "{{issuer}} {{standby}}")}, false},
			{"Condition of the connection", Series, "bool_yes_no", "Clocks agree, notifications arrive, the address can be read.", []Query{query(`min by (instance, issuer, part) (countersign_store_condition{})`, "{{instance}} {{issuer}} {{part}}")}, false},
		}},
	}}
}

func duties() Dashboard {
	return Dashboard{"countersign-duties", "Countersign: evidence, delivery, certificates", []Row{
		{"Evidence", []Panel{
			{"Entries of the audit log", Series, "ops", "", []Query{query(`sum by (kind) (rate(countersign_audit_entries_total{}[$__rate_interval]))`, "{{kind}}")}, false},
			{"Checkpoints", Series, "short", "", []Query{query(`sum by (instance, issuer) (increase(countersign_audit_checkpoints_total{}[$__rate_interval]))`, "{{instance}} {{issuer}}")}, false},
			{"Not sealed yet", Series, "s", "Time since the first entry that no checkpoint seals.", []Query{query(`countersign_audit_unsealed_age_seconds{}`, "{{instance}} {{issuer}}")}, false},
		}},
		{"Delivery", []Panel{
			{"Due and not done", Series, "short", "Pings, logout notices, consent notices, and evidence that is in no chain.", []Query{query(`max by (issuer, kind) (countersign_backlog_waiting{})`, "{{issuer}} {{kind}}")}, false},
			{"The oldest of it", Series, "s", "", []Query{query(`max by (issuer, kind) (countersign_backlog_age_seconds{})`, "{{issuer}} {{kind}}")}, false},
		}},
		{"The edge", []Panel{
			{"Refused in front of the endpoints", Series, "short", "", []Query{query(`sum by (event) (increase(countersign_ingress_refusals_total{}[$__rate_interval]))`, "{{event}}")}, false},
			{"Client certificates refused", Series, "short", "", []Query{query(`sum(increase(countersign_client_certificate_refusals_total{}[$__rate_interval]))`, "refused")}, false},
			{"Certificates end in", Table, "s", "The certificate that ends first in each file.", []Query{query(`min by (issuer, file) (countersign_certificate_not_after_seconds{}) - time()`, "")}, false},
			{"Configuration", Table, "none", "1 while a node runs with what its file says; when it took it, and how many reloads it has refused.", []Query{
				query(`min by (instance, issuer) (countersign_configuration_in_use{})`, ""), query(`max by (instance, issuer) (countersign_configuration_taken_seconds{}) * 1000`, ""),
				query(`max by (instance, issuer) (countersign_configuration_refusals_total{})`, ""),
			}, false},
			{"What runs", Table, "none", "", []Query{query(`countersign_build{}`, ""), query(`max by (instance, issuer) (countersign_store_schema{})`, "")}, false},
			{"Processor", Series, "percentunit", "", []Query{query(`rate(process_cpu_seconds_total{}[$__rate_interval])`, "{{instance}}")}, false},
			{"Memory", Series, "bytes", "", []Query{query(`process_resident_memory_bytes{}`, "{{instance}}")}, false},
			{"Open files", Series, "short", "", []Query{query(`process_open_fds{}`, "{{instance}}"), query(`process_max_fds{}`, "{{instance}} most")}, false},
		}},
	}}
}

// JSON is a dashboard as Grafana imports it.
func (d Dashboard) JSON() ([]byte, error) {
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	var panels []any
	id, y := 1, 0
	for _, row := range d.Rows {
		panels = append(panels, map[string]any{
			"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []any{}, "gridPos": position(0, y, 24, 1),
		})
		id++
		y++
		x, high := 0, 0
		for _, p := range row.Panels {
			wide, tall := size(p)
			if x+wide > 24 {
				x, y = 0, y+high
			}
			panels = append(panels, p.json(id, position(x, y, wide, tall), source))
			id++
			x, high = x+wide, tall
		}
		y += high
	}
	text, err := json.MarshalIndent(map[string]any{
		"uid": d.UID, "title": d.Title, "tags": []string{"countersign"}, "schemaVersion": 39, "version": 1, "editable": true,
		"timezone": "browser", "refresh": "30s", "graphTooltip": 1, "time": map[string]any{"from": "now-6h", "to": "now"},
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
			choice("instance", "Node", Instances, source), choice("issuer", "Issuer", Issuers, source),
		}},
		"links": []any{map[string]any{
			"type": "dashboards", "title": "Countersign", "tags": []string{"countersign"}, "asDropdown": true, "includeVars": true, "keepTime": true,
		}},
		"panels": panels,
	}, "", "  ")
	return append(text, '\n'), err
}

// choice is a variable of a dashboard, of which several values may be chosen.
func choice(name, label, query string, source any) map[string]any {
	return map[string]any{
		"name": name, "label": label, "type": "query", "datasource": source, "query": query, "refresh": 2, "multi": true,
		"includeAll": true, "allValue": ".*", "current": map[string]any{"text": []string{"All"}, "value": []string{"$__all"}},
	}
}

func position(x, y, wide, tall int) map[string]int {
	return map[string]int{"x": x, "y": y, "w": wide, "h": tall}
}

func size(p Panel) (wide, tall int) {
	switch p.Kind {
	case Stat:
		return 6, 4
	case Table:
		return 12, 8
	}
	return 8, 8
}

func (p Panel) json(id int, at map[string]int, source any) map[string]any {
	var targets []any
	for i, q := range p.Queries {
		target := map[string]any{"refId": string(rune('A' + i)), "datasource": source, "expr": q.Expr, "legendFormat": q.Legend}
		if p.Kind == Table {
			target["format"], target["instant"] = "table", true
		}
		if p.Exemplars {
			target["exemplar"] = true
		}
		targets = append(targets, target)
	}
	made := map[string]any{
		"id": id, "type": p.Kind, "title": p.Title, "gridPos": at, "datasource": source, "targets": targets,
		"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.Unit}, "overrides": []any{}},
	}
	if p.About != "" {
		made["description"] = p.About
	}
	if p.Kind == Series {
		made["options"] = map[string]any{
			"legend": map[string]any{"displayMode": "list", "placement": "bottom"}, "tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		}
	}
	return made
}
