package rs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"countersign/internal/strictjson"
)

// issuerMetadata are the members of an authorization server's metadata that are read (RFC 8414 §2, RFC 8705 §5).
type issuerMetadata struct {
	Issuer        string `json:"issuer"`
	KeysURL       string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Aliases       struct {
		Introspection string `json:"introspection_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

// maxMetadata bounds an issuer's metadata, in bytes.
const maxMetadata = 256 << 10

// errNoAnswer is an issuer that publishes no metadata where they should be.
var errNoAnswer = errors.New("it publishes no metadata (RFC 8414)")

// discover fetches the metadata of an issuer: by RFC 8414 §3, or else by OpenID Connect Discovery §4.
func discover(ctx context.Context, client *http.Client, issuer string) (issuerMetadata, error) {
	base, err := url.Parse(issuer)
	if err != nil {
		return issuerMetadata{}, err
	}
	path := strings.TrimSuffix(base.Path, "/")
	inserted := "https://" + base.Host + "/.well-known/oauth-authorization-server" + path
	appended := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	var read issuerMetadata
	for _, address := range []string{inserted, appended} {
		var body []byte
		if body, err = get(ctx, client, address); errors.Is(err, errNoAnswer) {
			continue
		}
		if err != nil {
			return issuerMetadata{}, err
		}
		if err := strictjson.DecodeObject(body, &read); err != nil {
			return issuerMetadata{}, fmt.Errorf("%s: %w", address, err)
		}
		if read.Issuer != issuer { // RFC 8414 §3.3
			return issuerMetadata{}, fmt.Errorf("%s: the issuer in it is %q", address, read.Issuer)
		}
		return read, nil
	}
	return issuerMetadata{}, err
}

// get fetches a document. The error is errNoAnswer for one that is not there.
func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, errNoAnswer
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: it answered with status %d", address, response.StatusCode)
	}
	return readBounded(response.Body, maxMetadata)
}

// readBounded reads a body of at most a size.
func readBounded(from io.Reader, most int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("the answer has more than %d bytes", most)
	}
	return body, nil
}
