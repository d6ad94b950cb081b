package adminapi

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"countersign/internal/admin/fault"
	"countersign/internal/adminapi/access"
	"countersign/internal/random"
	"countersign/signer"
	"countersign/store"
)

func (a *API) approvalRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/approvals", Roles: anyone(), Serve: a.listApprovals},
		{Method: http.MethodGet, Path: "/approvals/{id}", Roles: anyone(), Serve: a.getApproval},
		{Method: http.MethodPost, Path: "/approvals/{id}/approve", Roles: officer(), Serve: a.decide(true)},
		{Method: http.MethodPost, Path: "/approvals/{id}/refuse", Roles: officer(), Serve: a.decide(false)},
	}
}

// ApprovalHeader names the approval by which something is carried out.
const ApprovalHeader = "Countersign-Approval"

// deed is something that needs four eyes.
type deed struct {
	// action and target say what is done, and with what; asked is what else the request says.
	action, target string
	asked          any
	// plan checks it, and says in words for people what would be done, and what has to be the same when it is carried out.
	plan func(ctx context.Context) (lines []string, found any, err error)
	// do carries it out, and says what was done.
	do func(ctx context.Context) ([]string, error)
}

// approvalRequest is what an approval is for, as the store keeps it.
type approvalRequest struct {
	Asked json.RawMessage `json:"asked"`
	Plan  []string        `json:"plan"`
}

// carriedOut is what was done.
type carriedOut struct {
	Done []string `json:"done"`
}

// fourEyes has a deed approved, or carries it out. Without an approval it is planned, and an approval is opened (202) for what was asked
// and found. With one it is planned again: only what was approved is carried out, once. Who asks for the first may carry it out, and
// any other security officer. One that failed may be carried out again by the same approval while what would be done is the same: so a
// failure that has changed something needs another one, and so does one whose end is not known.
func (a *API) fourEyes(w http.ResponseWriter, r *http.Request, d deed) error {
	asked, err := json.Marshal(d.asked)
	if err != nil {
		return err
	}
	lines, found, err := d.plan(r.Context())
	if err != nil {
		return err
	}
	digest, err := digestOf(d.action, d.target, asked, found)
	if err != nil {
		return err
	}
	given := r.Header.Values(ApprovalHeader)
	switch {
	case len(given) > 1:
		return badRequest("there are several headers %s", ApprovalHeader)
	case len(given) == 0:
		return a.open(w, r, d, approvalRequest{asked, lines}, digest)
	}
	begun, err := a.consume(r.Context(), given[0], d, digest)
	if err != nil {
		return err
	}
	done, err := d.do(r.Context())
	if ending := a.end(r.Context(), begun, err); ending != nil && err == nil {
		done = append(done, "it is done, and the approval does not say so: "+access.ProblemOf(ending).Detail)
	}
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, carriedOut{done})
}

// endTimeout bounds the storing of how something ended, whose own time may be over.
const endTimeout = 5 * time.Second

// end stores how something was carried out: cause is why it failed, or nil.
func (a *API) end(ctx context.Context, begun store.Approval, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	end := store.ApprovalEnd{ID: begun.ID, ConsumedAt: begun.ConsumedAt}
	if cause != nil {
		end.Failure = access.ProblemOf(cause).Detail
	}
	return a.audited(ctx).Store.EndApproval(ctx, end)
}

// digestOf binds an approval.
func digestOf(action, target string, asked json.RawMessage, found any) (store.Digest, error) {
	bound, err := json.Marshal(struct {
		Action string          `json:"action"`
		Target string          `json:"target"`
		Asked  json.RawMessage `json:"asked"`
		Found  any             `json:"found"`
	}{action, target, asked, found})
	return sha256.Sum256(bound), err
}

// mostApprovals bounds how many are looked through for one that is there already.
const mostApprovals = 100

// open asks for an approval. The same operator who asks for the same again gets the one that is open.
func (a *API) open(w http.ResponseWriter, r *http.Request, d deed, request approvalRequest, digest store.Digest) error {
	now, by := a.config.Now().UTC().Truncate(time.Microsecond), approver(r.Context())
	before, err := a.config.Store.ListApprovals(r.Context(), store.Page{Limit: mostApprovals})
	if err != nil {
		return err
	}
	for _, one := range before {
		if one.Digest == digest && one.RequestedBy == by && now.Before(one.ExpiresAt) && (one.State == store.ApprovalOpen || one.State == store.ApprovalGiven) {
			return a.accepted(w, one)
		}
	}
	kept, err := json.Marshal(request)
	if err != nil {
		return err
	}
	opened := store.Approval{
		ID: random.UUID(), Action: d.action, Target: d.target, Request: kept, Digest: digest,
		RequestedBy: by, RequestedAt: now, ExpiresAt: now.Add(a.config.ApprovalsLast), State: store.ApprovalOpen,
	}
	if err := a.audited(r.Context()).Store.OpenApproval(r.Context(), opened); err != nil {
		return err
	}
	return a.accepted(w, opened)
}

func (a *API) accepted(w http.ResponseWriter, approval store.Approval) error {
	location(w, "approvals", approval.ID)
	etag(w, string(approval.State))
	return write(w, http.StatusAccepted, a.shown(approval))
}

// consume takes an approval for a deed; each problem says what to do.
func (a *API) consume(ctx context.Context, id string, d deed, digest store.Digest) (begun store.Approval, err error) {
	if !storable(id) || len(id) > 100 {
		return begun, access.Problemf(http.StatusForbidden, "approval_unknown", "there is no such approval")
	}
	if begun, err = a.audited(ctx).Store.ConsumeApproval(ctx, id, digest, access.From(ctx).Name); err == nil {
		return begun, nil
	}
	return begun, a.notConsumed(ctx, id, d, err)
}

// notConsumed is the problem of an approval that could not be taken.
func (a *API) notConsumed(ctx context.Context, id string, d deed, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return access.Problemf(http.StatusForbidden, "approval_unknown", "there is no such approval")
	case errors.Is(err, store.ErrConsumed):
		return access.Problemf(http.StatusForbidden, "approval_consumed", "the approval was refused, or used before; ask for another one")
	case errors.Is(err, store.ErrExpired):
		return access.Problemf(http.StatusForbidden, "approval_expired", "the approval has expired; ask for another one")
	case !errors.Is(err, store.ErrConflict):
		return err
	}
	approval, err := a.config.Store.Approval(ctx, id)
	if err != nil {
		return err
	}
	if approval.State == store.ApprovalOpen {
		return access.Problemf(http.StatusForbidden, "approval_pending", "another security officer has to approve it first")
	}
	if approval.Action == d.action && approval.Target == d.target {
		return access.Problemf(http.StatusConflict, "approval_of_other_state",
			"what was approved is not what would be done now: it was asked for in another way, or something has changed since; ask for another approval")
	}
	return access.Problemf(http.StatusForbidden, "approval_of_other", "the approval is for something else")
}

func approver(ctx context.Context) store.Approver {
	by := access.From(ctx)
	return store.Approver{Name: by.Name, Certificate: by.Certificate}
}

// shownApproval is an approval as operators read it.
type shownApproval struct {
	ID          string          `json:"id"`
	Action      string          `json:"action"`
	Target      string          `json:"target"`
	Asked       json.RawMessage `json:"asked"`
	Plan        []string        `json:"plan"`
	State       string          `json:"state"`
	RequestedBy string          `json:"requested_by"`
	RequestedAt time.Time       `json:"requested_at"`
	ExpiresAt   time.Time       `json:"expires_at"`
	DecidedBy   string          `json:"decided_by,omitempty"`
	DecidedAt   time.Time       `json:"decided_at,omitzero"`
	ConsumedBy  string          `json:"carried_out_by,omitempty"`
	ConsumedAt  time.Time       `json:"carried_out_at,omitzero"`
	// EndedAt is when that ended, and Failure why it failed.
	EndedAt time.Time `json:"ended_at,omitzero"`
	Failure string    `json:"failure,omitempty"`
}

func (a *API) shown(approval store.Approval) shownApproval {
	var request approvalRequest
	if json.Unmarshal(approval.Request, &request) != nil {
		request.Asked = json.RawMessage("{}") // of another release; the digest binds it all the same
	}
	shown := shownApproval{
		ID: approval.ID, Action: approval.Action, Target: approval.Target, Asked: request.Asked, Plan: append([]string{}, request.Plan...), State: string(approval.State),
		RequestedBy: approval.RequestedBy.Name, RequestedAt: approval.RequestedAt, ExpiresAt: approval.ExpiresAt,
		DecidedBy: approval.DecidedBy.Name, DecidedAt: approval.DecidedAt, ConsumedBy: approval.ConsumedBy, ConsumedAt: approval.ConsumedAt,
		EndedAt: approval.EndedAt, Failure: approval.Failure,
	}
	if approval.State == store.ApprovalGiven && approval.Failure != "" {
		shown.State = "failed"
	}
	unfinished := approval.State == store.ApprovalOpen || approval.State == store.ApprovalGiven
	if unfinished && !a.config.Now().Before(approval.ExpiresAt) {
		shown.State = "expired"
	}
	return shown
}

func (a *API) listApprovals(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	found, err := a.config.Store.ListApprovals(r.Context(), store.Page{At: page.after.At(), Key: page.after.Key, Limit: page.limit + 1})
	if err != nil {
		return err
	}
	all := make([]shownApproval, len(found))
	for i, one := range found {
		all[i] = a.shown(one)
	}
	return write(w, http.StatusOK, cut(all, page, func(s shownApproval) cursor { return cursor{Key: s.ID, Micros: s.RequestedAt.UnixMicro()} }))
}

func (a *API) getApproval(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	id, err := named(r, "id")
	if err != nil {
		return err
	}
	found, err := a.config.Store.Approval(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return access.Problemf(http.StatusNotFound, "not_found", "there is no approval %q", id)
	}
	if err != nil {
		return err
	}
	etag(w, string(found.State))
	return write(w, http.StatusOK, a.shown(found))
}

// decide approves or refuses. Who has asked may refuse (take it back), and never approve.
func (a *API) decide(approve bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := parameters(r); err != nil {
			return err
		}
		id, err := named(r, "id")
		if err != nil {
			return err
		}
		wanted, err := version(r)
		if err != nil {
			return err
		}
		if wanted != string(store.ApprovalOpen) {
			return stale("only an approval that is open can be decided")
		}
		decided, err := a.audited(r.Context()).Store.DecideApproval(r.Context(), store.ApprovalDecision{
			ID: id, Approve: approve, By: approver(r.Context()), ExpiresAt: a.config.Now().Add(a.config.ApprovalsLast),
		})
		switch {
		case errors.Is(err, store.ErrNotFound):
			return access.Problemf(http.StatusNotFound, "not_found", "there is no approval %q", id)
		case errors.Is(err, store.ErrConsumed):
			return stale("it was decided already")
		case errors.Is(err, store.ErrExpired):
			return access.Problemf(http.StatusConflict, "approval_expired", "its time is over; it has to be asked for again")
		case errors.Is(err, store.ErrConflict):
			return access.Problemf(http.StatusForbidden, "own_request", "who asks for something does not approve it: another security officer has to")
		case err != nil:
			return err
		}
		etag(w, string(decided.State))
		return write(w, http.StatusOK, a.shown(decided))
	}
}

// keyProblem is the problem of a change of keys that is refused: what the store or the HSM cannot do stays what it is.
func keyProblem(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, signer.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &fault.RefusedError{Err: err}
}
