package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"countersign/internal/strictjson"
	"countersign/internal/suggest"
)

// MaxText bounds the text of a claim about a user, in bytes.
const MaxText = 2048

// zone is the form of a name of the IANA time zone database. Whether there is such a zone changes with the years.
var zone = regexp.MustCompile(`^[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,3}$`)

// Check checks the JSON value of a claim about a user, by its type in OpenID Connect Core §5.1; null is every claim's. No
// error repeats the value.
func Check(name string, value json.RawMessage) error {
	if !slices.Contains(Known(), name) {
		return fmt.Errorf("%q is no claim about a user (OpenID Connect Core §5.1)%s", name, hint(name, Known()))
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

// hint is the nearest of the known names, for the end of an error; empty if none is near.
func hint(name string, known []string) string {
	if asked := suggest.Hint(name, known, ""); asked != "" {
		return "; " + asked
	}
	return ""
}

func check(name string, value json.RawMessage) error {
	if !slices.Contains(Names(), name) {
		return checkExtra(name, value)
	}
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
		if len(text) > MaxText {
			return fmt.Errorf("has a member %s of more than %d bytes", name, MaxText)
		}
	}
	return nil
}

func checkText(name, text string) error {
	switch {
	case text == "":
		return errors.New("is empty")
	case len(text) > MaxText:
		return fmt.Errorf("is longer than %d bytes", MaxText)
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
