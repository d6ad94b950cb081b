package adminapi

import (
	"encoding/json"
	"net/http"

	"countersign/internal/adminapi/access"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/store"
)

func (a *API) auditRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/audit/nodes", Roles: anyone(), Serve: a.auditNodes},
		{Method: http.MethodGet, Path: "/audit/entries", Roles: anyone(), Serve: a.auditEntries},
		{Method: http.MethodPost, Path: "/audit/verify", Roles: anyone(), Serve: a.auditVerify},
	}
}

// auditNode is a node's chain of the audit log.
type auditNode struct {
	Node string `json:"node"`
	// Last is the sequence of its last entry.
	Last uint64 `json:"last_sequence"`
}

func (a *API) auditNodes(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	heads, err := a.config.Store.AuditHeads(r.Context())
	if err != nil {
		return err
	}
	nodes := make([]auditNode, len(heads))
	for i, head := range heads {
		nodes[i] = auditNode{head.Chain, head.Sequence}
	}
	return write(w, http.StatusOK, sorted(nodes, page, func(n auditNode) string { return n.Node }))
}

func (a *API) auditEntries(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor", "node")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	node := values.Get("node")
	if node == "" {
		return badRequest("give the node whose chain is read; /admin/v1/audit/nodes has them")
	}
	lines, err := a.config.Store.AuditLines(r.Context(), node, page.after.Number, page.limit+1)
	if err != nil {
		return err
	}
	part := cut(lines, page, func(l store.AuditLine) cursor { return cursor{Number: l.Sequence} })
	entries := listed[json.RawMessage]{Items: make([]json.RawMessage, len(part.Items)), Next: part.Next}
	for i, line := range part.Items {
		entries.Items[i] = auditlog.Shown(line)
		if !json.Valid(entries.Items[i]) { // it was tampered with, which verify tells
			entries.Items[i] = json.RawMessage(`{}`)
		}
	}
	return write(w, http.StatusOK, entries)
}

// verification is what verifying the log found.
type verification struct {
	Whole   bool `json:"whole"`
	Entries int  `json:"entries"`
	// Unsealed counts entries after the last checkpoint, Waiting those in no chain yet, Erased those whose personal part was erased.
	Unsealed uint64            `json:"unsealed"`
	Waiting  int               `json:"waiting"`
	Erased   int               `json:"erased"`
	Dropped  map[string]uint64 `json:"dropped,omitempty"`
	Faults   []string          `json:"faults"`
}

// auditVerify reads the whole log: one at a time.
func (a *API) auditVerify(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	select {
	case a.verifying <- struct{}{}:
		defer func() { <-a.verifying }()
	default:
		return &access.Problem{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "the log is being verified already", RetryAfter: verifyAgain}
	}
	keys, err := auditlog.Keys(r.Context(), a.config.Store)
	if err != nil {
		return err
	}
	report, waiting, err := auditlog.Verify(r.Context(), a.config.Store, audit.Options{Keys: keys}, a.config.Now())
	if err != nil {
		return err
	}
	found := verification{
		Whole: len(report.Findings) == 0, Entries: report.Entries, Unsealed: report.Unsealed, Waiting: waiting, Erased: report.Erased, Dropped: report.Dropped,
		Faults: []string{},
	}
	for _, fault := range report.Findings {
		found.Faults = append(found.Faults, fault.String())
	}
	return write(w, http.StatusOK, found)
}
