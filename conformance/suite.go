package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
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

// suite is a running conformance suite.
type suite struct {
	base  string
	token string
	http  *http.Client
	// pause is how long to wait before a request that failed is tried again the first time.
	pause time.Duration
}

// statusError is an answer with an unexpected status.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the suite answered %d: %s", e.status, e.body[:min(len(e.body), 300)])
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// tries is how often a request is made that fails in passing.
const tries = 5

// call sends one request and decodes the JSON answer into result, which may be nil. What fails in passing is tried
// again, with pauses that grow: to do twice what is asked here does no harm, since a new module takes the alias over
// from an old one.
func (s *suite) call(ctx context.Context, method, path string, body []byte, result any) error {
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
	answered, ok := errors.AsType[*statusError](err)
	if !ok {
		return true // in transit
	}
	switch answered.status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusInternalServerError:
		return method == http.MethodGet // a plan whose variant does not exist is answered so
	default:
		return false
	}
}

func (s *suite) once(ctx context.Context, method, path string, body []byte, result any) error {
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
		return &statusError{response.StatusCode, strings.TrimSpace(string(content[:min(len(content), 64<<10)]))}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(content, result)
}

// createdPlan is a plan that the suite made, with the modules of its variant.
type createdPlan struct {
	ID      string `json:"id"`
	Modules []struct {
		Name    string            `json:"testModule"`
		Variant map[string]string `json:"variant"`
	} `json:"modules"`
}

func (s *suite) createPlan(ctx context.Context, p plan, configuration []byte) (createdPlan, error) {
	variant, err := json.Marshal(p.variant)
	if err != nil {
		return createdPlan{}, err
	}
	query := url.Values{"planName": {p.suitePlan}, "variant": {string(variant)}}
	var created createdPlan
	err = s.call(ctx, http.MethodPost, "/api/plan?"+query.Encode(), configuration, &created)
	return created, err
}

// start starts a module and returns its id.
func (s *suite) start(ctx context.Context, planID, module string, variant map[string]string) (string, error) {
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

// info is the state of a module.
type info struct {
	Status string `json:"status"`
	Result string `json:"result"`
}

func (s *suite) info(ctx context.Context, id string) (info, error) {
	var i info
	err := s.call(ctx, http.MethodGet, "/api/info/"+id, nil, &i)
	return i, err
}

// entry is a line of a module's log.
type entry struct {
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

func (s *suite) log(ctx context.Context, id string) ([]entry, error) {
	var raw []map[string]any
	if err := s.call(ctx, http.MethodGet, "/api/log/"+id, nil, &raw); err != nil {
		return nil, err
	}
	text := func(line map[string]any, name string) string {
		value, _ := line[name].(string) // other types are not what we look for
		return value
	}
	entries := make([]entry, 0, len(raw))
	refusal := ""
	for _, line := range raw {
		if text(line, "http") == "response" {
			refusal = refused(line["response_status_code"], text(line, "response_body"))
		}
		entries = append(entries, entry{
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

// browsing reports whether the suite's browser is at work for a module, or will be: an address waits for its turn under load.
func (s *suite) browsing(ctx context.Context, id string) (bool, error) {
	var runner struct {
		Browser struct {
			Addresses []any `json:"urls"`
			Runners   []any `json:"runners"`
		} `json:"browser"`
	}
	err := s.call(ctx, http.MethodGet, "/api/runner/"+id, nil, &runner)
	return len(runner.Browser.Addresses)+len(runner.Browser.Runners) > 0, err
}

// refusalOf is what the suite says when it makes no plan: in its dev mode an error page of JSON, with the reason as a member.
func refusalOf(e *statusError) string {
	var page struct {
		Message string `json:"message"`
		Error   string `json:"error"`
		Trace   string `json:"trace"`
	}
	if json.Unmarshal([]byte(e.body), &page) != nil {
		return e.body
	}
	_, thrown, _ := strings.Cut(page.Trace, ": ") // the class of the exception, and what it says
	reason, _, _ := strings.Cut(thrown, "\n")
	return cmp.Or(page.Message, reason, page.Error, e.body)
}

func (s *suite) upload(ctx context.Context, id, name string) error {
	return s.call(ctx, http.MethodPost, "/api/log/"+id+"/images/"+url.PathEscape(name), []byte(placeholder), nil)
}

func (s *suite) stop(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodDelete, "/api/runner/"+id, nil, nil)
}
