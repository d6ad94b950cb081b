package words

import (
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Location returns the zone of the language's times.
func (l *Language) Location() *time.Location { return l.zone }

// Date returns a day, such as "27 February 2027", in the zone of the language.
func (l *Language) Date(t time.Time) string { return l.Day(t.In(l.zone)) }

// Day is Date in the zone of t.
func (l *Language) Day(t time.Time) string {
	key := "date"
	if t.Day() == 1 {
		key = "date.first" // "1er février", "1º de dezembro"
	}
	return l.Text(key, "day", strconv.Itoa(t.Day()), "month", l.Text("month."+strconv.Itoa(int(t.Month()))), "year", strconv.Itoa(t.Year()))
}

// Clock returns a time of day, such as "19:46".
func (l *Language) Clock(t time.Time) string { return t.In(l.zone).Format("15:04") }

// When returns a moment as seen from now: "today at 19:46", "yesterday at 19:46", "27 February 2027 at 19:46".
func (l *Language) When(t, now time.Time) string {
	t, now = t.In(l.zone), now.In(l.zone)
	switch {
	case sameDay(t, now):
		return l.Text("when.today", "time", l.Clock(t))
	case sameDay(t, now.AddDate(0, 0, -1)):
		return l.Text("when.yesterday", "time", l.Clock(t))
	}
	return l.Text("when.day", "date", l.Date(t), "time", l.Clock(t))
}

func sameDay(a, b time.Time) bool { return a.Year() == b.Year() && a.YearDay() == b.YearDay() }

// Zone returns what people call the zone of the times, such as "Berlin time".
func (l *Language) Zone() string {
	name := l.zone.String()
	switch name {
	case "UTC", "Etc/UTC", "Etc/GMT", "GMT", "Local", "":
		return l.Text("zone.greenwich")
	}
	city := strings.ReplaceAll(name[strings.LastIndexByte(name, '/')+1:], "_", " ")
	if key := "zone." + name; l.Has(key) {
		return l.Text(key)
	}
	return l.Text("zone", "city", city)
}

// Duration returns a length of time, rounded up: "90 days", "12 hours", "1 minute".
func (l *Language) Duration(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		key    string
		// from is the shortest duration in this unit.
		from time.Duration
	}{
		{24 * time.Hour, "duration.days", 48 * time.Hour},
		{time.Hour, "duration.hours", 2 * time.Hour},
		{time.Minute, "duration.minutes", time.Minute},
	} {
		if d >= unit.from {
			return l.count(unit.key, d, unit.length)
		}
	}
	return l.count("duration.seconds", d, time.Second)
}

func (l *Language) count(key string, d, unit time.Duration) string {
	return l.Text(key, "count", max(1, int(math.Ceil(d.Seconds()/unit.Seconds()))))
}

// Capital returns text with a capital at its beginning, where the script has any.
func Capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// HTML returns a message as markup: its own text is escaped, and each value is escaped and set apart in <bdi>, since nobody
// knows in which direction it runs, unless it is markup already.
func (l *Language) HTML(key string, pairs ...any) template.HTML {
	return template.HTML(l.fill(key, pairs, template.HTMLEscapeString, func(value any) string {
		switch value := value.(type) {
		case template.HTML:
			return string(value)
		case int:
			return strconv.Itoa(value)
		case string:
			return "<bdi>" + template.HTMLEscapeString(value) + "</bdi>"
		}
		return ""
	}))
}
