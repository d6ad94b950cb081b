package display

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"countersign/internal/words"
)

// Life bounds how long what is allowed may last. The zero value has no bound.
type Life struct {
	// For is the longest, from when it is allowed; 0 for no bound.
	For time.Duration
	// Until is when it ends; zero for no bound.
	Until time.Time
}

// Shorter returns the life that both allow.
func (l Life) Shorter(other Life) Life {
	if l.For == 0 || other.For > 0 && other.For < l.For {
		l.For = other.For
	}
	if l.Until.IsZero() || !other.Until.IsZero() && other.Until.Before(l.Until) {
		l.Until = other.Until
	}
	return l
}

// End is when it ends if it is allowed now; zero for never.
func (l Life) End(now time.Time) time.Time {
	if l.For == 0 {
		return l.Until
	}
	if end := now.Add(l.For); l.Until.IsZero() || end.Before(l.Until) {
		return end
	}
	return l.Until
}

// Life returns how long what an object allows may last: as long as the type has it at most ("life"), and until its value with the
// role until. A day ends when it does in the zone of the languages. Errors are of a value that is no time.
func (t *Type) Life(object json.RawMessage) (Life, error) {
	members, err := readObject(object)
	if err != nil {
		return Life{}, err
	}
	life := Life{For: t.life}
	t.root.each(members, func(n *node, value any) {
		if n.annotation.Role != Until || value == nil {
			return
		}
		end, ok := endOf(t.languages.first(), written(value))
		if !ok {
			err = fmt.Errorf("display: an object of the type %q: %s is no day and no moment", t.name, n.pointer)
		}
		life = life.Shorter(Life{Until: end})
	})
	return life, err
}

// endOf is a moment, or the end of a day.
func endOf(l *words.Language, text string) (time.Time, bool) {
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, true
	}
	day, err := time.ParseInLocation(time.DateOnly, text, l.Location())
	if err != nil {
		return time.Time{}, false
	}
	return day.AddDate(0, 0, 1), true
}

// each hands on the plain values of an object with their places in the schema.
func (n *node) each(value any, take func(n *node, value any)) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range n.members {
			if inner, found := value[name]; found {
				member.each(inner, take)
			}
		}
	case []any:
		if n.item != nil {
			for _, inner := range value {
				n.item.each(inner, take)
			}
		}
	default:
		take(n, value)
	}
}

var lifeLength = regexp.MustCompile(`^P(?:([0-9]{1,4})D)?(?:T(?:([0-9]{1,4})H)?(?:([0-9]{1,4})M)?)?$`)

// checkLife reads the longest life of a type. Months and years have no fixed length.
func (p *parser) checkLife(at string) time.Duration {
	text := p.head.Life
	if text == "" {
		return 0
	}
	var life time.Duration
	if match := lifeLength.FindStringSubmatch(text); match != nil {
		for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
			count, err := strconv.Atoi(match[i+1])
			if err == nil {
				life += time.Duration(count) * unit
			}
		}
	}
	if life == 0 {
		p.problem(at+"/life", "is %q; use days, hours or minutes of ISO 8601, such as P180D", text)
	}
	return life
}
