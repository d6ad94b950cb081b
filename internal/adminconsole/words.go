package adminconsole

import (
	"encoding/base64"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/internal/pages"
	"countersign/store"
)

// link is the address of a page of the console, with parameters by name and value; those that are empty are left out.
func link(page string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return "/console/" + page
	}
	return "/console/" + page + "?" + query.Encode()
}

// mono writes a name of machines: left to right, set apart, whole.
func mono(text string) template.HTML {
	return template.HTML(`<bdi class="mono ltr">` + template.HTMLEscapeString(pages.Plain(text, textLimit)) + `</bdi>`)
}

// moment is how a time is written.
const moment = "2 Jan 2006, 15:04:05"

// time writes a moment, in the zone of the console; nothing for none.
func (c *Console) time(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + t.In(c.Zone).Format(moment) + `</time>`)
}

// zoneName is what the zone of the times is called.
func zoneName(zone *time.Location) string {
	if name := zone.String(); name != "Local" && name != "" {
		return name
	}
	return "UTC"
}

// span is a length of time in its largest unit, rounded down: "3 days".
func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{365 * day, "year"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / unit.length); n == 1 {
			return "1 " + unit.name
		} else if n > 1 && (unit.name != "year" || d%unit.length < 30*day) {
			return strconv.Itoa(n) + " " + unit.name + "s"
		}
	}
	return "a moment"
}

// many is a number with what is counted, of which there is one or several.
func many(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + several
}

// ago says how long ago something was, and left how long it is until then, or since.
func ago(t, now time.Time) string {
	if now.Sub(t) < time.Second {
		return "just now"
	}
	return span(now.Sub(t)) + " ago"
}

func left(t, now time.Time) string {
	if t.After(now) {
		return "in " + span(t.Sub(now))
	}
	return "since " + span(now.Sub(t))
}

// tag is a state in a word, with its tone: "ok", "warn", "alarm" or "off".
type tag struct{ Tone, Text string }

// fact is a label with its value. Code is a value for machines, Link leads to what it is about, and At is a time.
type fact struct {
	Label, Text, Code, Link, Hint string
	At                            time.Time
	Tag                           tag
}

// hidden is what is shown of what the operator may not see.
const hidden = "•••"

// person shows an identifier or a name of a person: as it is, or its first character.
func (l look) person(text string) string {
	if l.sees || text == "" {
		return text
	}
	first, _ := utf8.DecodeRuneInString(text)
	return string(first) + hidden
}

// personLink leads to a person, for those who see whom.
func (l look) personLink(subject string) string {
	if !l.sees || subject == "" {
		return ""
	}
	return link("person", "id", subject)
}

// subject is the fact of whom something is about.
func (l look) subject(subject string) fact {
	if subject == "" {
		return fact{Label: "Person", Text: "None"}
	}
	return fact{Label: "Person", Code: l.person(subject), Link: l.personLink(subject)}
}

// ending is an account by its last characters: nobody who looks here needs more.
func ending(account string) string {
	const shown = 4
	joined := []rune(strings.NewReplacer(" ", "", "-", "").Replace(account))
	if len(joined) < 2*shown {
		return hidden
	}
	return "ending " + string(joined[len(joined)-shown:])
}

// cursor names the place in a list behind a record.
func cursor(at time.Time, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(at.UnixMicro(), 10) + " " + key))
}

// after reads a cursor; an empty one is the beginning. binary says that its key is no text.
func after(text string, limit int, binary bool) (store.Page, error) {
	page := store.Page{Limit: limit}
	if text == "" {
		return page, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	micros, key, found := strings.Cut(string(raw), " ")
	number, numberErr := strconv.ParseInt(micros, 10, 64)
	if err != nil || !found || numberErr != nil || number <= 0 ||
		!binary && (!utf8.ValidString(key) || strings.Contains(key, "\x00")) {
		return page, errParameter
	}
	page.At, page.Key = time.UnixMicro(number).UTC(), key
	return page, nil
}

// number reads a position in a list by numbers; empty is 0.
func number(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, errParameter
	}
	return n, nil
}
