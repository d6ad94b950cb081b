package userimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"countersign/fapi/claims"
	"countersign/internal/strictjson"
)

// maxText bounds the text of a claim, in bytes.
const maxText = 2048

// zone is the form of a name of the IANA time zone database. Whether there is such a zone changes with the years.
var zone = regexp.MustCompile(`^[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,3}$`)

// Claim checks the JSON value of a claim about a user, by its type in OpenID Connect Core §5.1; null is every claim's. No
// error repeats the value.
func Claim(name string, value json.RawMessage) error {
	if !slices.Contains(claims.Names(), name) {
		return fmt.Errorf("%q is no claim about a user (OpenID Connect Core §5.1)%s", name, hint(name, claims.Names()))
	}
	if err := strictjson.Check(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if string(value) == "null" {
		return nil
	}
	if err := check(name, value); err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	return nil
}

func check(name string, value json.RawMessage) error {
	switch name {
	case "email_verified", "phone_number_verified":
		return wants[bool](value, "is not true or false")
	case "updated_at":
		return wants[float64](value, "is not a number of seconds")
	case "address":
		return checkAddress(value)
	}
	var text string
	if err := strictjson.Decode(value, &text); err != nil {
		return errors.New("is not a text")
	}
	return checkText(name, text)
}

func wants[T any](value json.RawMessage, problem string) error {
	var decoded T
	if strictjson.Decode(value, &decoded) != nil {
		return errors.New(problem)
	}
	return nil
}

// checkAddress checks an address (OpenID Connect Core §5.1.1). Its texts may have several lines.
func checkAddress(value json.RawMessage) error {
	var address map[string]string
	if strictjson.DecodeObject(value, &address) != nil {
		return errors.New("is not an object of texts (OpenID Connect Core §5.1.1)")
	}
	members := []string{"formatted", "street_address", "locality", "region", "postal_code", "country"}
	for name, text := range address {
		if !slices.Contains(members, name) {
			return fmt.Errorf("has no member %q (OpenID Connect Core §5.1.1)%s", name, hint(name, members))
		}
		if len(text) > maxText {
			return fmt.Errorf("has a member %s of more than %d bytes", name, maxText)
		}
	}
	return nil
}

func checkText(name, text string) error {
	switch {
	case text == "":
		return errors.New("is empty")
	case len(text) > maxText:
		return fmt.Errorf("is longer than %d bytes", maxText)
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("holds a control character or a line break")
	}
	switch name {
	case "email":
		address, err := mail.ParseAddress(text)
		if err != nil || address.Address != text {
			return errors.New("is not an e-mail address (RFC 5322 §3.4.1)")
		}
	case "locale":
		if _, err := language.Parse(text); err != nil {
			return errors.New("is not a language tag, such as pt-BR (BCP 47)")
		}
	case "zoneinfo":
		if !zone.MatchString(text) {
			return errors.New("is not a time zone, such as Europe/Lisbon")
		}
	case "birthdate":
		if !isDate(text) {
			return errors.New("is not a date, such as 1980-12-31, 1980 or 0000-12-31")
		}
	case "profile", "picture", "website":
		if address, err := url.Parse(text); err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
			return errors.New("is not a web address")
		}
	}
	return nil
}

// isDate reports whether a text is a birthdate: a day, a year, or a day without its year (OpenID Connect Core §5.1).
func isDate(text string) bool {
	if day, found := strings.CutPrefix(text, "0000-"); found {
		text = "2000-" + day // a leap year
	}
	for _, form := range []string{time.DateOnly, "2006"} {
		if _, err := time.Parse(form, text); err == nil {
			return true
		}
	}
	return false
}

// FromText makes the value of a claim of a text, as a flag or a cell of a table has it. No error repeats the text.
func FromText(name, text string) (json.RawMessage, error) {
	switch name {
	case "address":
		return nil, errors.New("address is an object and fits into no text; give it in JSON")
	case "email_verified", "phone_number_verified":
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("%s is not true or false", name)
		}
		return json.RawMessage(text), nil
	case "updated_at":
		seconds, err := strconv.ParseUint(text, 10, 48)
		if err != nil {
			return nil, fmt.Errorf("%s is not a number of seconds", name)
		}
		return json.RawMessage(strconv.FormatUint(seconds, 10)), nil
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%s is not UTF-8", name)
	}
	value, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	return value, Claim(name, value)
}

// ClaimsOf returns the names of claims in the order in which OpenID Connect Core has them, and others after them.
func ClaimsOf(all map[string]json.RawMessage) []string {
	var ordered []string
	for _, name := range claims.Names() {
		if _, has := all[name]; has {
			ordered = append(ordered, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(ordered, name) {
			ordered = append(ordered, name)
		}
	}
	return ordered
}
