// Package suite drives a running OpenID conformance suite by its REST API.
package suite

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client talks to a running conformance suite. Connect makes one.
type Client struct {
	base  string
	token string
	http  *http.Client
	roots *x509.CertPool
	// pause is how long to wait before a request that failed is tried again the first time.
	pause time.Duration
}

// Base is the suite's base URL, without a slash at its end.
func (s *Client) Base() string { return s.base }

// Roots are the authorities by which other clients of the suite verify its certificate: the system's, those of a file, or the one
// certificate that was pinned when Connect made the client.
func (s *Client) Roots() *x509.CertPool { return s.roots }

// StatusError is an answer with an unexpected status.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the suite answered %d: %s", e.Status, e.Body[:min(len(e.Body), 300)])
}

// Reason is what the suite says when it makes no plan: in its dev mode an error page of JSON, with the reason as a member.
func (e *StatusError) Reason() string {
	var page struct {
		Message string `json:"message"`
		Error   string `json:"error"`
		Trace   string `json:"trace"`
	}
	if json.Unmarshal([]byte(e.Body), &page) != nil {
		return e.Body
	}
	_, thrown, _ := strings.Cut(page.Trace, ": ") // the class of the exception, and what it says
	reason, _, _ := strings.Cut(thrown, "\n")
	return cmp.Or(page.Message, reason, page.Error, e.Body)
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// tries is how often a request is made that fails in passing.
const tries = 5

// call sends one request and decodes the JSON answer into result, which may be nil. What fails in passing is tried
// again, with pauses that grow: to do twice what is asked here does no harm, since a new module takes the alias over
// from an old one.
func (s *Client) call(ctx context.Context, method, path string, body []byte, result any) error {
	pause := s.pause
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
				pause *= 2
			}
		}
		if err = s.once(ctx, method, path, body, result); err == nil {
			return nil
		}
		if ctx.Err() != nil || !passing(err, method) {
			break
		}
	}
	return fmt.Errorf("%s %s: %w", method, path, err)
}

// passing reports whether an error may be gone the next time.
func passing(err error, method string) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	answered, ok := errors.AsType[*StatusError](err)
	if !ok {
		return true // in transit
	}
	switch answered.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusInternalServerError:
		return method == http.MethodGet // a plan whose variant does not exist is answered so
	default:
		return false
	}
}

func (s *Client) once(ctx context.Context, method, path string, body []byte, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return &StatusError{response.StatusCode, strings.TrimSpace(string(content[:min(len(content), 64<<10)]))}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(content, result)
}

// Plan is a plan that the suite made, with the modules of its variant.
type Plan struct {
	ID      string   `json:"id"`
	Modules []Module `json:"modules"`
}

// Module is a module of a plan.
type Module struct {
	Name    string            `json:"testModule"`
	Variant map[string]string `json:"variant"`
}

// CreatePlan has the suite make a plan in a variant, with a configuration in JSON.
func (s *Client) CreatePlan(ctx context.Context, name string, variant map[string]string, configuration []byte) (Plan, error) {
	encoded, err := json.Marshal(variant)
	if err != nil {
		return Plan{}, err
	}
	query := url.Values{"planName": {name}, "variant": {string(encoded)}}
	var created Plan
	err = s.call(ctx, http.MethodPost, "/api/plan?"+query.Encode(), configuration, &created)
	return created, err
}

// Start starts a module and returns its id.
func (s *Client) Start(ctx context.Context, planID, module string, variant map[string]string) (string, error) {
	query := url.Values{"test": {module}, "plan": {planID}}
	if len(variant) > 0 {
		encoded, err := json.Marshal(variant)
		if err != nil {
			return "", err
		}
		query.Set("variant", string(encoded))
	}
	var started struct {
		ID string `json:"id"`
	}
	err := s.call(ctx, http.MethodPost, "/api/runner?"+query.Encode(), nil, &started)
	return started.ID, err
}

// The statuses of a module that this project acts on.
const (
	Finished    = "FINISHED"
	Interrupted = "INTERRUPTED"
	Waiting     = "WAITING"
)

// State is the state of a module.
type State struct {
	// Status is FINISHED or INTERRUPTED at the end, and WAITING where the module waits for a browser or a client.
	Status string `json:"status"`
	Result string `json:"result"`
}

// State asks for the state of a module.
func (s *Client) State(ctx context.Context, id string) (State, error) {
	var state State
	err := s.call(ctx, http.MethodGet, "/api/info/"+id, nil, &state)
	return state, err
}

// Entry is a line of a module's log.
type Entry struct {
	Source  string `json:"src"`
	Result  string `json:"result"`
	Message string `json:"msg"`
	// Upload is set when the module waits for a screenshot under this name.
	Upload string `json:"upload"`
	Image  string `json:"img"`
	// Callback is whether the line is of a browser that came back to the suite.
	Callback bool `json:"-"`
	// Refusal is the last answer of the server before this line, if it was a refusal: "400 {…}".
	Refusal string `json:"-"`
}

// maxRefusal bounds what is shown of a refusal, in bytes.
const maxRefusal = 400

// Log reads the lines of a module's log.
func (s *Client) Log(ctx context.Context, id string) ([]Entry, error) {
	var raw []map[string]any
	if err := s.call(ctx, http.MethodGet, "/api/log/"+id, nil, &raw); err != nil {
		return nil, err
	}
	text := func(line map[string]any, name string) string {
		value, _ := line[name].(string) // other types are not what we look for
		return value
	}
	entries := make([]Entry, 0, len(raw))
	refusal := ""
	for _, line := range raw {
		if text(line, "http") == "response" {
			refusal = refused(line["response_status_code"], text(line, "response_body"))
		}
		entries = append(entries, Entry{
			Source: text(line, "src"), Result: text(line, "result"), Message: text(line, "msg"),
			Upload: text(line, "upload"), Image: text(line, "img"), Refusal: refusal,
			Callback: text(line, "http") == "incoming" && strings.HasSuffix(text(line, "incoming_path"), "/callback"),
		})
	}
	return entries, nil
}

// refused shows an answer with a status of 400 or more; others are of no interest, and may hold tokens.
func refused(status any, body string) string {
	number, _, _ := strings.Cut(fmt.Sprint(status), " ") // the suite writes "400 BAD_REQUEST"
	code, err := strconv.Atoi(number)
	if err != nil || code < 400 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, body[:min(len(body), maxRefusal)]))
}

// placeholder is a picture of one white pixel: it takes the place of the screenshot that a user would take.
const placeholder = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+ip1sAAAAASUVORK5CYII="

// running is a module that runs.
type running struct {
	Exposed map[string]any `json:"exposed"`
	Browser struct {
		Addresses []any `json:"urls"`
		Runners   []any `json:"runners"`
	} `json:"browser"`
}

func (s *Client) running(ctx context.Context, id string) (running, error) {
	var r running
	err := s.call(ctx, http.MethodGet, "/api/runner/"+id, nil, &r)
	return r, err
}

// Browsing reports whether the suite's browser is at work for a module, or will be: an address waits for its turn under load.
func (s *Client) Browsing(ctx context.Context, id string) (bool, error) {
	r, err := s.running(ctx, id)
	return len(r.Browser.Addresses)+len(r.Browser.Runners) > 0, err
}

// Exposed are the values that a module shows to whoever tests a client with it, such as the issuer and the resource.
func (s *Client) Exposed(ctx context.Context, id string) (map[string]string, error) {
	r, err := s.running(ctx, id)
	exposed := make(map[string]string, len(r.Exposed))
	for name, value := range r.Exposed {
		if text, ok := value.(string); ok {
			exposed[name] = text
		}
	}
	return exposed, err
}

// Upload gives a module a placeholder in the place of the screenshot that it waits for under this name.
func (s *Client) Upload(ctx context.Context, id, name string) error {
	return s.call(ctx, http.MethodPost, "/api/log/"+id+"/images/"+url.PathEscape(name), []byte(placeholder), nil)
}

// Stop ends a module.
func (s *Client) Stop(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodDelete, "/api/runner/"+id, nil, nil)
}
