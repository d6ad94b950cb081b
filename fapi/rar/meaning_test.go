package rar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/resource"
	"countersign/store"
)

// anything is a type of authorization_details that lets every JSON through, so that nothing but the server's own care
// keeps what is shown and what is granted together.
func anything(c *fapitest.Config) {
	c.AuthorizationDetailTypes = append(c.AuthorizationDetailTypes, rar.Type{
		Type: "anything", Title: "Do anything", Schema: json.RawMessage(`{"type":"object","properties":{"type":{"const":"anything"},"data":{}},"required":["type"],"additionalProperties":false}`),
	})
}

// Covers: ATTACK-43, RA-02. However a client writes its JSON: what the user is shown, what is stored, what is in the
// token and what introspection and the resource are told is one and the same.
func TestAttack43OneMeaning(t *testing.T) {
	t.Parallel()
	var answered resource.Access
	w, p := fapitest.NewFullWorld(t, anything, func(c *fapitest.Config) {
		c.Resources = []resource.Resource{{Path: "/accounts", Scope: "accounts", Answer: recording(&answered)}}
	})
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		fapitest.AllScopes(c, m)
		m["authorization_details_types"] = []string{"anything"}
	})
	self := w.ResourceServer("self", w.Issuer)
	throws := &dice{seed: 43}
	for i := range 60 {
		written := `{"type":"anything","data":` + throws.json(3) + `}`
		t.Run(fmt.Sprintf("accepts and keeps %02d", i), func(t *testing.T) {
			pushed := c.Push(withDetails(written))
			if pushed.Status != http.StatusCreated {
				t.Fatalf("%s: %s", written, pushed.Raw)
			}
			want := exactly(t, []byte(written))
			_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
			if sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Fatalf("sent to %v", sentTo)
			}
			shown := p.Sees().Details
			if len(shown) != 1 || shown[0].Type != "anything" {
				t.Fatalf("shown %+v", shown)
			}
			if diff := cmp.Diff(leaves(want["data"]), values(shown[0].Lines)); diff != "" {
				t.Errorf("%s is shown otherwise (-want +got):\n%s", written, diff)
			}
			issued := c.Redeem(sentTo.Query().Get("code"), nil)
			token := issued.Text("access_token")
			fapitest.WantOK(t, c.Get("/accounts", token, nil))
			grant, err := w.Store.AccessGrant(t.Context(), store.IssuedDigest(fapitest.UnverifiedClaims(t, token)["jti"].(string)))
			if err != nil {
				t.Fatal(err)
			}
			for place, document := range map[string][]byte{
				"the token response": []byte(issued.Raw), "the store": grant.Detail, "the token": fapitest.Payload(t, token),
				"introspection": []byte(self.Introspect(token, nil).Raw), "the refreshed token": fapitest.Payload(t, c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")),
			} {
				var holder struct {
					Details []json.RawMessage `json:"authorization_details"`
				}
				if err := json.Unmarshal(document, &holder); err != nil || len(holder.Details) != 1 {
					t.Fatalf("%s: %s, %v", place, document, err)
				}
				if diff := cmp.Diff(want, exactly(t, holder.Details[0])); diff != "" {
					t.Errorf("%s differs from %s (-want +got):\n%s", place, written, diff)
				}
			}
			if len(answered.Details) != 1 {
				t.Fatalf("the resource is told %s", answered.Details)
			}
			if diff := cmp.Diff(want, exactly(t, answered.Details[0])); diff != "" {
				t.Errorf("the resource is told otherwise (-want +got):\n%s", diff)
			}
		})
	}
	for name, written := range map[string]string{
		"a name twice at the top":              `{"type":"anything","data":1,"data":2}`,
		"a name twice below":                   `{"type":"anything","data":{"a":1,"a":2}}`,
		"a name twice in a list":               `{"type":"anything","data":[{"a":1,"a":2}]}`,
		"a name twice, once escaped":           `{"type":"anything","data":{"a":1,"\u0061":2}}`,
		"the type twice, once escaped":         `{"type":"anything","typ\u0065":"payment_initiation"}`,
		"a lone surrogate":                     `{"type":"anything","data":"\ud800"}`,
		"a lone surrogate in a name":           `{"type":"anything","data":{"\udc00":1}}`,
		"a comma at the end":                   `{"type":"anything","data":[1,]}`,
		"a comment":                            `{"type":"anything",/* "data":1 */"data":2}`,
		"a number with a sign":                 `{"type":"anything","data":+1}`,
		"a number with zeros before it":        `{"type":"anything","data":01}`,
		"a hexadecimal number":                 `{"type":"anything","data":0x1}`,
		"NaN":                                  `{"type":"anything","data":NaN}`,
		"single quotes":                        `{'type':'anything'}`,
		"a control character in text":          "{\"type\":\"anything\",\"data\":\"a\nb\"}",
		"something after the object":           `{"type":"anything"}{"type":"anything"}`,
		"nesting of nine":                      `{"type":"anything","data":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`,
		"nesting of ten thousand":              `{"type":"anything","data":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"a type that is a list":                `{"type":["anything"]}`,
		"a type that is an object":             `{"type":{"anything":1}}`,
		"a type with a blank":                  `{"type":"anything "}`,
		"a type that only starts like another": `{"type":"anything\u0000"}`,
		"NUL":                                  `{"type":"anything","data":"\u0000"}`,
		"a byte order mark":                    "\ufeff" + `{"type":"anything"}`,
	} {
		fapitest.TryAll(t, c.Push, fapitest.Bad(name, withDetails(written), 400, "invalid_authorization_details"))
	}
	fapitest.TryAll(t, c.Push, fapitest.Bad("bytes that are not UTF-8", withDetails("{\"type\":\"anything\",\"data\":\"\xff\"}"), 400, "invalid_request"))
	fapitest.TryAll(t, c.Push, fapitest.Good("nesting of eight", withDetails(`{"type":"anything","data":`+strings.Repeat("[", 7)+strings.Repeat("]", 7)+`}`)))
}

// recording is a resource that keeps what it is told.
func recording(into *resource.Access) func(context.Context, resource.Access) (any, error) {
	return func(_ context.Context, a resource.Access) (any, error) {
		*into = a
		return map[string]any{}, nil
	}
}

// exactly reads JSON with its numbers as they are written.
func exactly(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return object
}

// leaves are the values that a user has to be shown of a JSON value, sorted: each number and truth value as it is
// written, "none" for what is empty, and a list of nothing but texts in one line if that cannot be misread.
func leaves(value any) []string {
	var found []string
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			found = append(found, leaves(inner)...)
		}
	case []any:
		var texts []string
		for _, inner := range value {
			if text, ok := inner.(string); ok && !strings.Contains(text, ",") {
				texts = append(texts, text)
			}
			found = append(found, leaves(inner)...)
		}
		if len(texts) == len(value) && len(texts) > 0 {
			found = []string{strings.Join(texts, ", ")}
		}
	case nil:
	default:
		return []string{fmt.Sprint(value)}
	}
	if len(found) == 0 {
		return []string{"none"}
	}
	slices.Sort(found)
	return found
}

// values are those of a page's lines, sorted.
func values(lines []rar.Line) []string {
	var found []string
	for _, line := range lines {
		found = append(found, line.Value)
	}
	slices.Sort(found)
	return found
}
