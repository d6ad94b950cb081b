package operations

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/internal/admin"
	"countersign/internal/console"
)

// Approval is something that needs four eyes.
type Approval struct {
	ID          string    `json:"id"`
	Action      string    `json:"action"`
	Target      string    `json:"target"`
	Plan        []string  `json:"plan"`
	State       string    `json:"state"`
	RequestedBy string    `json:"requested_by"`
	RequestedAt time.Time `json:"requested_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	DecidedBy   string    `json:"decided_by,omitempty"`
	DecidedAt   time.Time `json:"decided_at,omitzero"`
	ConsumedBy  string    `json:"carried_out_by,omitempty"`
	ConsumedAt  time.Time `json:"carried_out_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	Failure     string    `json:"failure,omitempty"`
}

// Outcome is what came of a request that needs four eyes: what was done, or the approval that it needs.
type Outcome struct {
	Done     []string
	Approval *Approval
}

// Print tells an operator, and how to go on.
func (o Outcome) Print(to io.Writer) {
	if o.Approval == nil {
		for _, line := range o.Done {
			fmt.Fprintln(to, console.OneLine(line))
		}
		return
	}
	for _, line := range o.Approval.Plan {
		fmt.Fprintln(to, console.OneLine(line))
	}
	fmt.Fprintf(to, "nothing was changed yet: it needs four eyes, until %s\nanother security officer runs: countersign approvals approve %s\nthen run this again with: --approval %[2]s\n",
		console.Time(o.Approval.ExpiresAt), o.Approval.ID)
}

// fourEyes asks for something, or carries out what was approved.
func (r *Remote) fourEyes(ctx context.Context, approval string, body any, path ...string) (o Outcome, err error) {
	var got struct {
		Done []string `json:"done"`
		Approval
	}
	status, _, err := r.do(ctx, call{method: http.MethodPost, path: path, approval: approval, body: body}, &got)
	if err != nil {
		return o, err
	}
	if status == http.StatusAccepted {
		return Outcome{Approval: &got.Approval}, nil
	}
	return Outcome{Done: got.Done}, nil
}

// RotateKey takes the next step of replacing the key of an algorithm; approval is empty to ask for one.
func (r *Remote) RotateKey(ctx context.Context, alg, use string, now bool, approval string) (Outcome, error) {
	return r.fourEyes(ctx, approval, struct {
		Algorithm string `json:"alg"`
		Use       string `json:"use,omitempty"`
		Now       bool   `json:"now"`
	}{alg, use, now}, "keys", "rotate")
}

// RetireKey stops signing with a key.
func (r *Remote) RetireKey(ctx context.Context, kid string, last bool, approval string) (Outcome, error) {
	return r.fourEyes(ctx, approval, map[string]bool{"last": last}, "keys", kid, "retire")
}

// EraseUser erases a user.
func (r *Remote) EraseUser(ctx context.Context, subject, approval string) (Outcome, error) {
	return r.fourEyes(ctx, approval, nil, "people", subject, "erase")
}

// ExportUser reads all data of a user, as JSON.
func (r *Remote) ExportUser(ctx context.Context, subject string) (exported []byte, err error) {
	_, _, err = r.do(ctx, call{method: http.MethodGet, path: []string{"people", subject, "export"}}, &exported)
	return exported, err
}

// ListUsers lists the users of the built-in directory by their names.
func (r *Remote) ListUsers(ctx context.Context) ([]admin.ListedUser, error) {
	users, err := list[admin.ListedUser](ctx, r, 0, nil, "people")
	slices.SortFunc(users, func(a, b admin.ListedUser) int { return strings.Compare(a.Username, b.Username) })
	return users, err
}

// FindUser finds the subject of a user by what is given; by is any, name or subject.
func (r *Remote) FindUser(ctx context.Context, given, by string) (string, error) {
	if by == "subject" {
		return given, nil
	}
	return r.subject(ctx, given)
}

// Terminal is what the commands about approvals have.
type Terminal struct {
	Stdout io.Writer
	// Remote is the admin API.
	Remote func() (*Remote, error)
}

// Approvals manages what needs four eyes.
type Approvals struct {
	List    approvalsList    `cmd:"" help:"List what was asked for, the newest first."`
	Show    approvalsShow    `cmd:"" help:"Show one, as JSON."`
	Approve approvalsApprove `cmd:"" help:"Approve what another security officer has asked for."`
	Refuse  approvalsRefuse  `cmd:"" help:"Refuse it, or take back what you have asked for."`
}

// Help implements kong.HelpProvider.
func (Approvals) Help() string {
	return `By the admin API, signing keys are rotated and retired and users are erased by four eyes: who asks for it gets an approval,
another security officer approves it, and it is carried out once, if what would be done is still the same.

Examples:
  countersign keys rotate --alg PS256 --admin https://admin.bank.example:9443
  countersign approvals list
  countersign approvals approve 6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55
  countersign keys rotate --alg PS256 --approval 6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55`
}

type approvalsList struct {
	Limit int  `default:"100" help:"How many to list at most."`
	JSON  bool `name:"json" help:"Print JSON, one object a line."`
}

// Run implements the command.
func (c approvalsList) Run(ctx context.Context, t *Terminal) error {
	if c.Limit < 1 {
		return admin.Usagef("--limit must be 1 or more")
	}
	r, err := t.Remote()
	if err != nil {
		return err
	}
	all, err := list[Approval](ctx, r, c.Limit, nil, "approvals")
	if err != nil {
		return err
	}
	header := []string{"APPROVAL", "ACTION", "TARGET", "STATE", "REQUESTED BY", "REQUESTED", "EXPIRES", "DECIDED BY"}
	return console.List(t.Stdout, c.JSON, all, header, func(a Approval) []string {
		return []string{a.ID, a.Action, a.Target, a.State, a.RequestedBy, console.Time(a.RequestedAt), console.Time(a.ExpiresAt), a.DecidedBy}
	})
}

type approvalID struct {
	ID string `arg:"" name:"approval" help:"The approval's identifier."`
}

type approvalsShow struct{ approvalID }

// Run implements the command.
func (c approvalsShow) Run(ctx context.Context, t *Terminal) error {
	found, _, err := c.read(ctx, t)
	if err != nil {
		return err
	}
	return console.WriteJSON(t.Stdout, found)
}

func (c approvalID) read(ctx context.Context, t *Terminal) (found Approval, tag string, err error) {
	r, err := t.Remote()
	if err != nil {
		return found, "", err
	}
	_, tag, err = r.do(ctx, call{method: http.MethodGet, path: []string{"approvals", c.ID}}, &found)
	return found, tag, err
}

type approvalsApprove struct{ approvalID }

// Run implements the command.
func (c approvalsApprove) Run(ctx context.Context, t *Terminal) error {
	return c.decide(ctx, t, "approve", "approved")
}

type approvalsRefuse struct{ approvalID }

// Run implements the command.
func (c approvalsRefuse) Run(ctx context.Context, t *Terminal) error {
	return c.decide(ctx, t, "refuse", "refused")
}

func (c approvalID) decide(ctx context.Context, t *Terminal, verb, done string) error {
	found, tag, err := c.read(ctx, t)
	if err != nil {
		return err
	}
	r, err := t.Remote()
	if err != nil {
		return err
	}
	if _, _, err := r.do(ctx, call{method: http.MethodPost, path: []string{"approvals", c.ID, verb}, match: tag}, nil); err != nil {
		return err
	}
	fmt.Fprintf(t.Stdout, "%s %s of %s, which %s asked for\n", done, found.Action, found.Target, found.RequestedBy)
	return nil
}
