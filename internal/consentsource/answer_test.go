package consentsource

import (
	"errors"
	"strings"
	"testing"

	"countersign/fapi/consent"
)

// good is a consent as the source writes it, with other members.
func good(changes ...string) string {
	text := `{"id":"c-1","client_id":"app","kind":"uk-accounts","status":"awaiting","version":1,"shown":{"type":"uk-accounts","Permissions":["ReadBalances"]},` +
		`"created_at":"2026-11-30T12:00:00Z","changed_at":"2026-11-30T12:00:00Z","expires_at":"2026-11-30T13:00:00+00:00","ends_at":"","colour":7}`
	for i := 0; i+1 < len(changes); i += 2 {
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return `{"outcome":"ok","consent":` + text + `}`
}

// Covers: LC-63. A source that answers about another consent or another client's, or otherwise than the contract says, gives no answer.
func TestLC63Read(t *testing.T) {
	t.Parallel()
	asked := question{ConsentID: "c-1", ClientID: "app"}
	t.Run("accepts a consent", func(t *testing.T) {
		c, err := read([]byte(good()), asked)
		if err != nil || c.ID != "c-1" || !c.Elsewhere || !c.EndsAt.IsZero() || c.ExpiresAt.Hour() != 13 || string(c.Shown) != `{"type":"uk-accounts","Permissions":["ReadBalances"]}` {
			t.Errorf("%+v %v", c, err)
		}
	})
	t.Run("accepts one of any client where none was named", func(t *testing.T) {
		if c, err := read([]byte(good()), question{ConsentID: "c-1"}); err != nil || c.ClientID != "app" {
			t.Errorf("%+v %v", c, err)
		}
	})
	t.Run("accepts that there is none", func(t *testing.T) {
		if _, err := read([]byte(`{"outcome":"not_found"}`), asked); !errors.Is(err, consent.ErrNotFound) {
			t.Error(err)
		}
	})
	t.Run("accepts another state, with the consent", func(t *testing.T) {
		c, err := read([]byte(strings.Replace(good(`"awaiting"`, `"revoked"`), `"ok"`, `"state"`, 1)), asked)
		if !errors.Is(err, consent.ErrState) || c.Status != "revoked" {
			t.Errorf("%+v %v", c, err)
		}
	})
	const canary = "canary-7f3a"
	for name, one := range map[string]struct{ answer, reason string }{
		"nothing":                     {``, "not a JSON object"},
		"a list":                      {`[]`, "not a JSON object"},
		"a member twice":              {`{"outcome":"ok","outcome":"not_found"}`, "not a JSON object"},
		"no outcome":                  {`{"consent":{}}`, "by outcome"},
		"another outcome":             {`{"outcome":"maybe"}`, "by outcome"},
		"no consent":                  {`{"outcome":"ok"}`, "no consent"},
		"another consent":             {good(`"c-1"`, `"`+canary+`"`), "another consent"},
		"no id":                       {good(`"id":"c-1",`, ""), "another consent"},
		"another client's consent":    {good(`"app"`, `"`+canary+`"`), "another client's"},
		"nobody's consent":            {good(`"app"`, `""`), "another client's"},
		"a status that there is not":  {good(`"awaiting"`, `"`+canary+`"`), "status"},
		"no version":                  {good(`"version":1,`, ""), "version"},
		"a version before the first":  {good(`"version":1`, `"version":-1`), "version"},
		"nothing to show":             {good(`"shown":{"type":"uk-accounts","Permissions":["ReadBalances"]},`, ""), "shown"},
		"a text to show":              {good(`{"type":"uk-accounts","Permissions":["ReadBalances"]}`, `"everything"`), "shown"},
		"something without a type":    {good(`"type":"uk-accounts",`, ""), "shown"},
		"too much to show":            {good(`"ReadBalances"`, `"`+strings.Repeat("x", maxShown)+`"`), "shown"},
		"no kind":                     {good(`"uk-accounts","status"`, `"","status"`), "text of the consent"},
		"a long kind":                 {good(`"uk-accounts","status"`, `"`+strings.Repeat("x", 600)+`","status"`), "text of the consent"},
		"an empty hint":               {good(`"colour":7`, `"hints":{"cpf":""}`), "hint"},
		"an empty permission":         {good(`"colour":7`, `"permissions":[""]`), "text of the consent"},
		"a time that is none":         {good(`2026-11-30T13:00:00+00:00`, `soon`), "a time"},
		"a time of no year of ours":   {good(`2026-11-30T13:00:00+00:00`, `0001-01-01T00:00:00Z`), "a time"},
		"no end of the decision":      {good(`"expires_at":"2026-11-30T13:00:00+00:00",`, ""), "a time"},
		"somebody else who ended it":  {good(`"colour":7`, `"ended_by":"nobody"`), "ended_by"},
		"an interaction that is none": {good(`"colour":7`, `"interaction":"x"`), "interaction"},
		"a number as the status":      {good(`"awaiting"`, `1`), "not a JSON object"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			c, err := read([]byte(one.answer), asked)
			failure, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(failure.Reason, one.reason) || strings.Contains(err.Error(), canary) || !errors.Is(err, consent.ErrUnavailable) || c.ID != "" {
				t.Errorf("%+v %v, want %q", c, err, one.reason)
			}
		})
	}
}

// FuzzAnswer: nothing is taken but the consent that was asked about, of the client for which it was.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(good()))
	f.Add([]byte(good(`"colour":7`, `"interaction":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","hints":{"cpf":"1"},"scopes":["a"]`)))
	f.Add([]byte(`{"outcome":"state","consent":{"id":"c-1","client_id":"app"}}`))
	f.Add([]byte(`{"outcome":"not_found"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := read(raw, question{ConsentID: "c-1", ClientID: "app"})
		switch {
		case err == nil, errors.Is(err, consent.ErrState):
			if c.ID != "c-1" || c.ClientID != "app" || c.Status == "" || len(c.Shown) == 0 || !c.Elsewhere || c.ExpiresAt.IsZero() || c.Version < 1 {
				t.Errorf("%q: taken as %+v", raw, c)
			}
		case errors.Is(err, consent.ErrNotFound), errors.Is(err, consent.ErrUnavailable):
			if c.ID != "" {
				t.Errorf("%q: %+v with %v", raw, c, err)
			}
		default:
			t.Errorf("%q: %v", raw, err)
		}
	})
}
