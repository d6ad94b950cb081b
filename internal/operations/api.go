package operations

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"countersign/internal/admin/fault"
	"countersign/internal/strictjson"
	"countersign/store"
)

// Flags say which admin API is asked, and with which certificate.
type Flags struct {
	Address     string `name:"admin" env:"COUNTERSIGN_ADMIN" placeholder:"URL" help:"Ask the admin API at this address, such as https://admin.bank.example:9443, in place of the store."`
	Certificate string `name:"admin-certificate" env:"COUNTERSIGN_ADMIN_CERTIFICATE" placeholder:"FILE" help:"Your certificate for it, PEM."`
	Key         string `name:"admin-key" env:"COUNTERSIGN_ADMIN_KEY" placeholder:"FILE" help:"Private key of that certificate, PEM."`
	CA          string `name:"admin-ca" env:"COUNTERSIGN_ADMIN_CA" placeholder:"FILE" help:"Authorities of its certificate, PEM; the system's if it is not given."`
}

const (
	// requestTimeout is longer than the server's.
	requestTimeout = 70 * time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 32 << 20
)

// Remote asks an admin API.
type Remote struct {
	base string
	http *http.Client
	now  func() time.Time
}

var _ Operations = (*Remote)(nil)

// NewRemote makes a client of an admin API. What is wrong with the flags is a [fault.UsageError].
func NewRemote(f Flags, now func() time.Time) (*Remote, error) {
	address, err := url.Parse(f.Address)
	if err != nil || address.Scheme != "https" || address.Host == "" || strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.User != nil {
		return nil, fault.Usagef("--admin: %q is not the https address of an admin API, such as https://admin.bank.example:9443", f.Address)
	}
	if f.Certificate == "" || f.Key == "" {
		return nil, fault.Usagef("--admin needs --admin-certificate and --admin-key: the admin API knows operators by their certificates")
	}
	certificate, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fault.Usagef("--admin-certificate and --admin-key: %w", err)
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	if f.CA != "" {
		encoded, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fault.Usagef("--admin-ca: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(encoded) {
			return nil, fault.Usagef("--admin-ca: %s holds no certificate in PEM form", f.CA)
		}
	}
	return &Remote{
		base: "https://" + address.Host + "/admin/v1", now: now,
		http: &http.Client{
			Timeout: requestTimeout, Transport: &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// call is a request.
type call struct {
	method string
	path   []string
	query  url.Values
	// match is for If-Match; create is for If-None-Match; approval is for Countersign-Approval.
	match, approval string
	create          bool
	body            any
}

// do sends a request, and reads the answer into what into points to, if it is not nil. It returns the status and the entity tag. Problems are
// errors of the kind that the same would be locally.
func (r *Remote) do(ctx context.Context, c call, into any) (status int, tag string, err error) {
	request, err := r.request(ctx, c)
	if err != nil {
		return 0, "", err
	}
	response, err := r.http.Do(request)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err
		}
		return 0, "", fmt.Errorf("the admin API at %s: %w: %w", request.URL.Host, store.ErrUnavailable, err)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return 0, "", fmt.Errorf("the admin API at %s: %w", request.URL.Host, err)
	}
	if len(raw) > maxAnswer {
		return 0, "", fmt.Errorf("the admin API at %s answered more than %d bytes", request.URL.Host, maxAnswer)
	}
	if response.StatusCode >= 300 {
		return response.StatusCode, "", problemOf(response.StatusCode, raw)
	}
	if text, ok := into.(*[]byte); ok { // as it is
		*text = raw
	} else if into != nil {
		if err := strictjson.Decode(raw, into); err != nil {
			return 0, "", fmt.Errorf("the admin API at %s answered what is not expected: %w", request.URL.Host, err)
		}
	}
	return response.StatusCode, response.Header.Get("ETag"), nil
}

func (r *Remote) request(ctx context.Context, c call) (*http.Request, error) {
	address := r.base
	for _, part := range c.path {
		address += "/" + url.PathEscape(part)
	}
	if len(c.query) > 0 {
		address += "?" + c.query.Encode()
	}
	var content io.Reader
	if c.body != nil {
		encoded, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, c.method, address, content)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{"If-Match": c.match, "Countersign-Approval": c.approval} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if c.create {
		request.Header.Set("If-None-Match", "*")
	}
	return request, nil
}

// problem is a problem document.
type problem struct {
	Type          string   `json:"type"`
	Detail        string   `json:"detail"`
	CorrelationID string   `json:"correlation_id"`
	Errors        []string `json:"errors"`
}

// problemOf makes an error of a problem document.
func problemOf(status int, raw []byte) error {
	var p problem
	if err := strictjson.DecodeObject(raw, &p); err != nil || p.Detail == "" {
		return fmt.Errorf("the admin API answered %d, and not why", status)
	}
	switch status {
	case http.StatusBadRequest:
		if len(p.Errors) > 0 {
			return &fault.InputError{Err: errors.New(strings.Join(p.Errors, "\n"))}
		}
		return &fault.InvalidError{Err: errors.New(p.Detail)}
	case http.StatusNotFound:
		return &fault.MissingError{Err: errors.New(p.Detail)}
	case http.StatusPreconditionFailed:
		return &fault.ChangedError{Err: errors.New(p.Detail)}
	case http.StatusConflict:
		return &fault.RefusedError{Err: errors.New(p.Detail)}
	case http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %s (correlation id %s)", store.ErrUnavailable, p.Detail, p.CorrelationID)
	}
	return fmt.Errorf("%s (correlation id %s)", p.Detail, p.CorrelationID)
}

// part is a part of a list.
type part[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor"`
}

// list reads a list until most records are there; 0 is all of them.
func list[T any](ctx context.Context, r *Remote, most int, query url.Values, path ...string) ([]T, error) {
	all := []T{}
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "200")
	for {
		var got part[T]
		if _, _, err := r.do(ctx, call{method: http.MethodGet, path: path, query: query}, &got); err != nil {
			return nil, err
		}
		all = append(all, got.Items...)
		if most > 0 && len(all) >= most {
			return all[:most], nil
		}
		if got.Next == "" {
			return all, nil
		}
		query.Set("cursor", got.Next)
	}
}
