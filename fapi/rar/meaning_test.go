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
	"countersign/fapi/rar/display"
	"countersign/fapi/resource"
	"countersign/store"
)

// anything is a type of authorization_details that lets every plain value through, so that nothing but the server's own care
// keeps what is shown and what is granted together.
func anything(c *fapitest.Config) {
	c.AuthorizationDetailTypes = append(c.AuthorizationDetailTypes, rar.Type{
		Type: "anything", Schema: json.RawMessage(`{"x-display":{"kind":"other","times":"until","heading":{"en":"Allow this?"}},"type":"object",
"properties":{"type":{"const":"anything"},"data":` + level(8) + `},"required":["type"],"additionalProperties":false}`),
	})
}

// level is the schema of an object with the one below in its member "inner".
func level(deep int) string {
	const leaf = `{"type":["string","number","boolean","null"]`
	const one = leaf + `,"x-display":{"label":{"en":"Value"}}}`
	inner := ""
	if deep > 0 {
		inner = `,"inner":` + level(deep-1)
	}
	return `{"type":"object","additionalProperties":false,"x-display":{"label":{"en":"Data"}},"properties":{"a":` + one + `,"b":` + one + `,
"list":{"type":"array","items":` + leaf + `},"x-display":{"label":{"en":"List"}}},
"rows":{"type":"array","x-display":{"label":{"en":"Rows"}},"items":{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":` + one + `}}}` + inner + `}}`
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
		written := `{"type":"anything","data":` + throws.object(3) + `}`
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
			if diff := cmp.Diff(leaves(want["data"]), values(shown[0])); diff != "" {
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
		"a name twice at the top":              `{"type":"anything","data":{"a":1},"data":{"a":2}}`,
		"a name twice below":                   `{"type":"anything","data":{"a":1,"a":2}}`,
		"a name twice in a list":               `{"type":"anything","data":{"rows":[{"a":1,"a":2}]}}`,
		"a name twice, once escaped":           `{"type":"anything","data":{"a":1,"\u0061":2}}`,
		"the type twice, once escaped":         `{"type":"anything","typ\u0065":"payment_initiation"}`,
		"a lone surrogate":                     `{"type":"anything","data":{"a":"\ud800"}}`,
		"a lone surrogate in a name":           `{"type":"anything","data":{"\udc00":1}}`,
		"a comma at the end":                   `{"type":"anything","data":{"list":[1,]}}`,
		"a comment":                            `{"type":"anything",/* "data":1 */"data":{}}`,
		"a number with a sign":                 `{"type":"anything","data":{"a":+1}}`,
		"a number with zeros before it":        `{"type":"anything","data":{"a":01}}`,
		"a hexadecimal number":                 `{"type":"anything","data":{"a":0x1}}`,
		"NaN":                                  `{"type":"anything","data":{"a":NaN}}`,
		"single quotes":                        `{'type':'anything'}`,
		"a control character in text":          "{\"type\":\"anything\",\"data\":{\"a\":\"a\nb\"}}",
		"something after the object":           `{"type":"anything"}{"type":"anything"}`,
		"nesting of nine":                      `{"type":"anything","data":` + strings.Repeat(`{"inner":`, 7) + "{}" + strings.Repeat("}", 7) + `}`,
		"nesting of ten thousand":              `{"type":"anything","data":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"a type that is a list":                `{"type":["anything"]}`,
		"a type that is an object":             `{"type":{"anything":1}}`,
		"a type with a blank":                  `{"type":"anything "}`,
		"a type that only starts like another": `{"type":"anything\u0000"}`,
		"NUL":                                  `{"type":"anything","data":{"a":"\u0000"}}`,
		"a byte order mark":                    "\ufeff" + `{"type":"anything"}`,
	} {
		fapitest.TryAll(t, c.Push, fapitest.Bad(name, withDetails(written), 400, "invalid_authorization_details"))
	}
	fapitest.TryAll(t, c.Push, fapitest.Bad("bytes that are not UTF-8", withDetails("{\"type\":\"anything\",\"data\":{\"a\":\"\xff\"}}"), 400, "invalid_request"))
	fapitest.TryAll(t, c.Push, fapitest.Good("nesting of eight", withDetails(`{"type":"anything","data":`+strings.Repeat(`{"inner":`, 6)+"{}"+strings.Repeat("}", 6)+`}`)))
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

// leaves are the values that a user has to be shown of a JSON value, sorted: each as it is written, or with escapes when it could
// not be seen; "None" for what is empty; and a list in one line if that cannot be misread.
func leaves(value any) []string {
	var found []string
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			found = append(found, leaves(inner)...)
		}
	case []any:
		single := true
		for _, inner := range value {
			of := leaves(inner)
			_, object := inner.(map[string]any)
			single = single && !object && !strings.Contains(of[0], ",")
			found = append(found, of...)
		}
		if single && len(found) > 0 {
			found = []string{strings.Join(found, ", ")}
		}
	case nil:
	default:
		if text := display.Exact(fmt.Sprint(value)); text != "" {
			return []string{text}
		}
	}
	if len(found) == 0 {
		return []string{"None"}
	}
	slices.Sort(found)
	return found
}

// values are those of what was shown, sorted.
func values(view display.View) []string {
	var found []string
	for _, group := range view.Groups {
		for _, line := range group.Lines {
			found = append(found, line.Value)
		}
	}
	slices.Sort(found)
	return found
}
