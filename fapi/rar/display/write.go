package display

import (
	"math/big"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/bojanz/currency"

	"countersign/internal/words"
)

// write writes a value in a format. What is not of the format is written as it is: no value is dropped, and none is changed.
func write(l *words.Language, format Format, raw string) string {
	text, ok := raw, false
	switch format {
	case IBAN:
		text, ok = inFours(raw)
	case Date:
		text, ok = date(l, raw)
	case DateTime:
		text, ok = dateTime(l, raw)
	case Duration:
		text, ok = duration(l, raw)
	case YesNo:
		text, ok = yesNo(l, raw)
	case Host:
		text, ok = host(raw)
	case Ending:
		text, ok = ending(l, raw)
	case TaxNumber:
		text, ok = taxNumber(raw)
	}
	if !ok {
		return Exact(raw)
	}
	return text
}

var iban = regexp.MustCompile(`^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$`)

// inFours writes an IBAN as on paper (ISO 13616-1 §6): whole, in groups of four.
func inFours(raw string) (string, bool) {
	if !iban.MatchString(raw) {
		return "", false
	}
	var groups []string
	for ; len(raw) > 4; raw = raw[4:] {
		groups = append(groups, raw[:4])
	}
	return strings.Join(append(groups, raw), " "), true
}

func date(l *words.Language, raw string) (string, bool) {
	t, err := time.Parse(time.DateOnly, raw)
	if err != nil {
		return "", false
	}
	return l.Day(t), true
}

// dateTime writes a moment in the zone of the language, with its seconds only if there are any.
func dateTime(l *words.Language, raw string) (string, bool) {
	t, err := time.Parse(time.RFC3339, raw)
	if err != nil || t.Nanosecond() != 0 {
		return "", false
	}
	clock := l.Clock(t)
	if t.Second() != 0 {
		clock += t.Format(":05")
	}
	return l.Text("when.day", "date", l.Date(t), "time", clock) + ", " + l.Zone(), true
}

var period = regexp.MustCompile(`^P(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,4})W)?(?:([0-9]{1,4})D)?(?:T(?:([0-9]{1,4})H)?(?:([0-9]{1,4})M)?(?:([0-9]{1,4})S)?)?$`)

// duration writes a length of time of ISO 8601, such as P90D.
func duration(l *words.Language, raw string) (string, bool) {
	match := period.FindStringSubmatch(raw)
	if match == nil {
		return "", false
	}
	var parts []string
	for i, unit := range []string{"years", "months", "weeks", "days", "hours", "minutes", "seconds"} {
		if match[i+1] == "" {
			continue
		}
		count, err := strconv.Atoi(match[i+1])
		if err != nil {
			return "", false
		}
		parts = append(parts, l.Text("duration."+unit, "count", count))
	}
	return strings.Join(parts, ", "), len(parts) > 0
}

func yesNo(l *words.Language, raw string) (string, bool) {
	switch raw {
	case "true":
		return l.Text("display.yes"), true
	case "false":
		return l.Text("display.no"), true
	}
	return "", false
}

// host writes an address by its host, if it has nothing else.
func host(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || "https://"+u.Host != strings.TrimSuffix(raw, "/") || Exact(u.Host) != u.Host {
		return "", false
	}
	return u.Host, true
}

var decimal = regexp.MustCompile(`^-?[0-9]{1,40}(\.[0-9]{1,12})?$`)

// money writes an amount with its currency first or last, as the language has it (Unicode CLDR), in Latin digits, with the
// digits of the currency or more, never rounded. The sign of a currency is written where no other shares it, else its code.
func money(tag, amount, code string) string {
	parsed, err := currency.NewAmount(amount, code)
	if err != nil || !decimal.MatchString(amount) {
		return Exact(amount) + " " + Exact(code)
	}
	if tag == "ar" {
		tag = "ar-AE" // Latin digits
	}
	locale := currency.NewLocale(tag)
	formatter := currency.NewFormatter(locale)
	formatter.MaxDigits = 12
	formatter.SymbolMap[code] = sign(code, locale)
	return strings.Map(func(r rune) rune {
		switch r {
		case '\u200e', '\u200f', '\u061c': // pages set the amount apart
			return -1
		case '\u202f':
			return '\u00a0'
		}
		return r
	}, formatter.Format(parsed))
}

// sign is how a currency is written: never by a sign that several have.
func sign(code string, locale currency.Locale) string {
	symbol, ok := currency.GetSymbol(code, locale)
	owner, shared := map[string]string{"£": "GBP", "¥": "JPY", "₩": "KRW", "₹": "INR", "€": "EUR", "R$": "BRL", "₺": "TRY"}[symbol]
	switch {
	case !ok || symbol == "":
		return code
	case symbol == "$" && code == "USD":
		return "US$"
	case shared && owner == code:
		return symbol
	case shared, strings.ContainsFunc(symbol, func(r rune) bool { return unicode.Is(unicode.Sc, r) }) && len([]rune(symbol)) == 1:
		return code
	case len([]rune(symbol)) < 3 && !strings.ContainsFunc(symbol, func(r rune) bool { return unicode.Is(unicode.Sc, r) }):
		return code // "kr", "Rs", "L"
	}
	return symbol
}

// step is a number of months, or of days.
type step struct{ months, days int }

// after is the beginning of the period that many periods after the first. A month without the day begins on its last.
func (s step) after(first time.Time, count int) time.Time {
	if s.months == 0 {
		return first.AddDate(0, 0, s.days*count)
	}
	month := time.Date(first.Year(), first.Month()+time.Month(s.months*count), 1, 0, 0, 0, 0, time.UTC)
	last := month.AddDate(0, 1, -1).Day()
	return month.AddDate(0, 0, min(first.Day(), last)-1)
}

// periodOf is the length of a period of ISO 20022, of the UK's and of Berlin Group's names, or of ISO 8601.
func periodOf(value string) (step, bool) {
	known, found := map[string]step{
		"DAIL": {0, 1}, "Day": {0, 1}, "Daily": {0, 1}, "P1D": {0, 1}, "WEEK": {0, 7}, "Week": {0, 7}, "Weekly": {0, 7}, "P1W": {0, 7}, "P7D": {0, 7},
		"FRTN": {0, 14}, "Fortnight": {0, 14}, "EveryTwoWeeks": {0, 14}, "P2W": {0, 14}, "P14D": {0, 14},
		"MNTH": {1, 0}, "Month": {1, 0}, "Monthly": {1, 0}, "P1M": {1, 0}, "EveryTwoMonths": {2, 0}, "P2M": {2, 0},
		"QURT": {3, 0}, "Quarterly": {3, 0}, "P3M": {3, 0}, "MIAN": {6, 0}, "Half-year": {6, 0}, "SemiAnnual": {6, 0}, "P6M": {6, 0},
		"YEAR": {12, 0}, "Year": {12, 0}, "Annual": {12, 0}, "P1Y": {12, 0}, "P12M": {12, 0},
	}[value]
	return known, found
}

// maxPeriods bounds how many periods are counted.
const maxPeriods = 40000

// most is how many periods begin from the first day to the last, and what they can cost together. It reports whether that can
// be known.
func most(limit, period, from, until string) (count int, total string, ok bool) {
	length, known := periodOf(period)
	first, err := dayOf(from)
	last, also := dayOf(until)
	if !known || err != nil || also != nil || !decimal.MatchString(limit) {
		return 0, "", false
	}
	for begins := first; !begins.After(last); count++ {
		if count == maxPeriods {
			return 0, "", false
		}
		begins = length.after(first, count+1)
	}
	whole, fraction, _ := strings.Cut(limit, ".")
	units, valid := new(big.Int).SetString(whole+fraction, 10)
	if !valid {
		return 0, "", false
	}
	units.Mul(units, big.NewInt(int64(count)))
	digits := units.String()
	if len(fraction) > 0 {
		for len(digits) <= len(fraction) {
			digits = "0" + digits
		}
		digits = digits[:len(digits)-len(fraction)] + "." + digits[len(digits)-len(fraction):]
	}
	return count, digits, true
}

// dayOf is the day of a date, or of a moment as it is written.
func dayOf(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		text = t.Format(time.DateOnly)
	}
	return time.Parse(time.DateOnly, text)
}

// maxMarks is how many combining marks may follow each other; written languages need up to four.
const maxMarks = 4

// Exact returns text as it is, or quoted with escapes if it has characters that cannot be seen or that move others.
func Exact(text string) string {
	marks, gap := 0, true
	for _, r := range text {
		switch {
		case r == ' ' && !gap:
			gap = true
			continue
		case !unicode.IsPrint(r), r == ' ', r == unicode.ReplacementChar, looksBlank(r):
			return strconv.QuoteToASCII(text)
		case unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > maxMarks || gap {
				return strconv.QuoteToASCII(text)
			}
		default:
			marks = 0
		}
		gap = false
	}
	if gap && text != "" {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// looksBlank reports whether a letter looks like nothing.
func looksBlank(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return false
}
