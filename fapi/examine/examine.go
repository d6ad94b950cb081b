// Package examine says of a message of a client, rule by rule, whether the server would accept it, and if not why and what to do.
//
// It applies the checks that the endpoints apply, as they are ([finding.Findings]), and takes all of what they find where an endpoint
// takes the first refusal. It changes nothing: one-time values are looked up and not consumed.
package examine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/request"
	"countersign/internal/finding"
	"countersign/internal/oauth"
	"countersign/signer"
	"countersign/store"
)

// Config is what an [Examiner] shares with the endpoints.
type Config struct {
	Addresses     endpoint.Addresses
	Authenticator *endpoint.Authenticator
	Proofs        *endpoint.Proofs
	Clients       *client.Cache
	Keys          *client.KeySets
	// Signer decrypts request objects.
	Signer   *signer.Signer
	Checker  *request.Checker
	Consents *consent.Engine
	Store    store.Examined
	Now      func() time.Time
}

// Examiner examines messages of clients.
type Examiner struct{ Config }

// New makes an examiner.
func New(c Config) *Examiner { return &Examiner{c} }

// Kind is a kind of message.
type Kind string

// The kinds.
const (
	Assertion     Kind = "client assertion"
	Proof         Kind = "DPoP proof"
	RequestObject Kind = "request object"
	Certificate   Kind = "client certificate"
	KeySet        Kind = "key set"
)

// Finding is what came of one rule.
type Finding struct {
	// Rule is a word for the rule.
	Rule string `json:"rule"`
	// Accepted is false where the rule refuses the message.
	Accepted bool `json:"accepted"`
	// Note is true of what the server does not look at, and its owner should.
	Note bool `json:"note,omitempty"`
	// Error is the error code with which the server would answer, and Text its description.
	Error string `json:"error,omitempty"`
	Text  string `json:"text,omitempty"`
	// Section is where the specification has the rule, and Remedy what to do.
	Section string `json:"section"`
	Remedy  string `json:"remedy,omitempty"`
}

// Fact is what a message says, for comparison. There is no secret among facts, and nothing about a user.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Report is what was found out about a message.
type Report struct {
	Kind Kind `json:"kind"`
	// Client, Profile and Method are those of the client, where it was found.
	Client  string `json:"client_id,omitempty"`
	Profile string `json:"profile,omitempty"`
	Method  string `json:"token_endpoint_auth_method,omitempty"`
	// At is when the message is taken to arrive.
	At       time.Time `json:"at"`
	Facts    []Fact    `json:"facts"`
	Findings []Finding `json:"findings"`
	// Accepted reports whether the server would accept the message; otherwise Error and Text are its answer.
	Accepted bool   `json:"accepted"`
	Error    string `json:"error,omitempty"`
	Text     string `json:"text,omitempty"`
}

func (e *Examiner) report(kind Kind) *Report {
	return &Report{Kind: kind, At: e.Now().UTC(), Facts: []Fact{}, Accepted: true}
}

// fact adds a fact, if there is any.
func (r *Report) fact(name, text string) {
	if text != "" {
		r.Facts = append(r.Facts, Fact{name, text})
	}
}

// time adds a time as a fact, with how far it is from now.
func (r *Report) time(name string, at time.Time, bounds string) {
	if at.IsZero() {
		return
	}
	distance := at.Sub(r.At)
	where := "now"
	switch {
	case distance > 0:
		where = distance.Round(time.Millisecond).String() + " ahead"
	case distance < 0:
		where = (-distance).Round(time.Millisecond).String() + " ago"
	}
	r.fact(name, at.UTC().Format(time.RFC3339)+", "+where+bounds)
}

// rule adds what came of a rule, and reports whether it accepts. Errors that are no refusals end up in failed.
func (r *Report) rule(rule string, err error) bool {
	f := Finding{Rule: rule, Accepted: err == nil}
	f.Section, f.Remedy = Explain(r.Kind, rule)
	if err == nil {
		f.Remedy = ""
		r.Findings = append(r.Findings, f)
		return true
	}
	refused := oauth.AsError(endpoint.Translate(err))
	f.Error, f.Text = refused.Code, refused.Description
	if cause := errors.Unwrap(refused); cause != nil && r.Kind == Certificate && !strings.Contains(f.Text, cause.Error()) {
		f.Text = fmt.Sprintf("%s (%s)", f.Text, cause) // what only the operator is told
	}
	if r.Accepted {
		r.Accepted, r.Error, r.Text = false, f.Error, refused.Description
	}
	r.Findings = append(r.Findings, f)
	return false
}

// all adds what came of all rules, and reports whether all accept.
func (r *Report) all(rules finding.Findings) bool {
	accepted := true
	for rule, err := range rules {
		accepted = r.rule(rule, err) && accepted
	}
	return accepted
}

// note adds what the server does not look at.
func (r *Report) note(rule, text string) {
	f := Finding{Rule: rule, Accepted: true, Note: true, Text: text}
	f.Section, f.Remedy = Explain(r.Kind, rule)
	r.Findings = append(r.Findings, f)
}

// client looks for a client; nil where there is none. The error is what keeps it from being looked for.
func (e *Examiner) client(ctx context.Context, r *Report, id string) (*client.Client, error) {
	found, err := e.Authenticator.Find(ctx, id)
	if _, refused := errors.AsType[*oauth.Error](err); err != nil && !refused {
		return nil, err
	}
	r.Client = id
	if !r.rule("client", err) {
		return nil, nil
	}
	r.Profile, r.Method = found.Profile.Name, found.AuthMethod()
	return found, nil
}

// replay looks whether a one-time value was used.
func (e *Examiner) replay(ctx context.Context, r *Report, value store.OneTime) error {
	used, err := e.Store.OneTimeUsed(ctx, value)
	if err != nil {
		return err
	}
	if used {
		r.rule(finding.Replay, &store.ReplayedError{Kind: value.Kind})
		return nil
	}
	r.rule(finding.Replay, nil)
	return nil
}

// quoted are texts of a message for a fact.
func quoted(texts []string) string {
	var all []string
	for _, text := range texts {
		all = append(all, shown(text))
	}
	return strings.Join(all, ", ")
}

// maxShown bounds a text of a message in a report, in bytes.
const maxShown = 200

// shown is a text of a message, quoted and bounded.
func shown(text string) string {
	if text == "" {
		return ""
	}
	if len(text) > maxShown {
		return fmt.Sprintf("%+q…", strings.ToValidUTF8(text[:maxShown], ""))
	}
	return fmt.Sprintf("%+q", text)
}
