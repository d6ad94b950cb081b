package display

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const lasting = `{"x-display":{"kind":"access","times":"until","life":"P180D","heading":{"en":"Share?"}},
"type":"object","additionalProperties":false,"required":["type"],"properties":{
"end":{"type":"object","additionalProperties":false,"required":["at"],"properties":{"at":{"type":"string","x-display":{"role":"until","format":"date-time","label":{"en":"Until"}}}}},
"note":{"type":"string","x-display":{"label":{"en":"Note"}}}}}`

// Covers: KC-21. What is allowed lasts as long as its type has it at most, and not longer than the object says; a day ends in the
// zone of the pages.
func TestKC21Life(t *testing.T) {
	t.Parallel()
	of := parsed(t, lasting)
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		object string
		want   time.Time
	}{
		"the type's":           {`{"type":"p","note":"2027-01-01"}`, now.AddDate(0, 0, 180)},
		"a moment before":      {`{"type":"p","end":{"at":"2027-02-27T10:00:00+01:00"}}`, time.Date(2027, 2, 27, 9, 0, 0, 0, time.UTC)},
		"a day, in Berlin":     {`{"type":"p","end":{"at":"2027-02-27"}}`, time.Date(2027, 2, 27, 23, 0, 0, 0, time.UTC)},
		"a day of summer time": {`{"type":"p","end":{"at":"2027-03-28"}}`, time.Date(2027, 3, 28, 22, 0, 0, 0, time.UTC)},
		"a moment after":       {`{"type":"p","end":{"at":"2099-01-01T00:00:00Z"}}`, now.AddDate(0, 0, 180)},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			life, err := of.Life(json.RawMessage(c.object))
			if err != nil || !life.End(now).Equal(c.want) {
				t.Errorf("%v %v, want %v; %v", life, life.End(now), c.want, err)
			}
		})
	}
	t.Run("accepts the shorter of two", func(t *testing.T) {
		early, late := now.Add(time.Hour), now.Add(2*time.Hour)
		for _, c := range []struct{ a, b, want Life }{
			{Life{}, Life{time.Hour, early}, Life{time.Hour, early}},
			{Life{time.Hour, late}, Life{2 * time.Hour, early}, Life{time.Hour, early}},
			{Life{For: time.Hour}, Life{Until: early}, Life{time.Hour, early}},
			{Life{}, Life{}, Life{}},
		} {
			if c.a.Shorter(c.b) != c.want || c.b.Shorter(c.a) != c.want {
				t.Errorf("%v and %v", c.a, c.b)
			}
		}
		if !(Life{}).End(now).IsZero() || !(Life{time.Hour, late}).End(now).Equal(early) || !(Life{2 * time.Hour, early}).End(now).Equal(early) {
			t.Error("the end is wrong")
		}
	})
	t.Run("refuses an end that is no time", func(t *testing.T) {
		if life, err := of.Life(json.RawMessage(`{"type":"p","end":{"at":"soon"}}`)); err == nil || !strings.Contains(err.Error(), "/properties/end/properties/at") {
			t.Errorf("%v %v", life, err)
		}
	})
	for name, c := range map[string]struct{ from, to, want string }{
		"months":              {`"P180D"`, `"P6M"`, "/x-display/life is \"P6M\"; use days"},
		"no time at all":      {`"P180D"`, `"P0D"`, "/x-display/life"},
		"words":               {`"P180D"`, `"half a year"`, "/x-display/life"},
		"an until that is no": {`"format":"date-time"`, `"format":"text"`, "/properties/end/properties/at/x-display/format has to be date"},
	} {
		t.Run("refuses a type with "+name, func(t *testing.T) {
			if _, err := Parse("p", json.RawMessage(strings.Replace(lasting, c.from, c.to, 1)), speaking(t)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
		})
	}
}
