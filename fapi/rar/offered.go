package rar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"countersign/fapi/rar/display"
)

// Source is where the entries of the lists come from that a request leaves to be offered to its user.
type Source string

// The sources.
const (
	// FromRequest: nothing is offered. Each list has its entries in the request.
	FromRequest Source = ""
	// FromLogin is the login of the operator's own, to which users are sent.
	FromLogin Source = "login"
	// FromClaims is the operator's API for claims about users.
	FromClaims Source = "claims-source"
)

// ErrNothingOffered is the error of a list for which nothing is offered to its user.
var ErrNothingOffered = errors.New("rar: nothing is offered for a list to choose from")

// MisfitError is the error of an account that is no entry of the list for which it is offered.
type MisfitError struct {
	// Type is the type of authorization_details.
	Type string
	// Reason says what its schema does not allow; it repeats no value.
	Reason string
}

// Error implements error.
func (e *MisfitError) Error() string {
	return fmt.Sprintf("an account for the type %q is none that its schema allows: %s", e.Type, e.Reason)
}

// Source returns from where entries are offered for the lists of a type.
func (t *Types) Source(name string) Source {
	i := slices.IndexFunc(t.types, func(known Type) bool { return known.Type == name })
	if i < 0 {
		return FromRequest
	}
	return t.types[i].Accounts
}

// checkSource finds what is wrong with where the lists of a type are offered from.
func (t Type) checkSource(shown *display.Type) error {
	switch {
	case !slices.Contains([]Source{FromRequest, FromLogin, FromClaims}, t.Accounts):
		return fmt.Errorf("accounts is %q; use login or claims-source, or leave it out", t.Accounts)
	case t.Accounts != FromRequest && !shown.TakesOffers():
		return fmt.Errorf(`accounts are offered, and its schema has no list for them; annotate one with "choose" and "offer": true`)
	}
	return nil
}

// Open returns the types of the objects that leave lists to be offered from a source, each once.
func (d Details) Open(t *Types, from Source) []string {
	var names []string
	for _, each := range d {
		name := TypeOf(each)
		if t.Source(name) == from && t.open(each) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (t *Types) open(object json.RawMessage) bool {
	shown, err := t.of(object)
	if err != nil {
		return false
	}
	open, err := shown.Open(object)
	return err == nil && open
}

// Offered returns the details with accounts in the lists that objects leave to be offered from a source. Errors are
// [ErrNothingOffered] where there is none for one of them, or *[MisfitError].
func (d Details) Offered(t *Types, from Source, accounts []display.Offered) (Details, error) {
	filled := slices.Clone(d)
	for i, each := range d {
		name := TypeOf(each)
		if t.Source(name) != from || !t.open(each) {
			continue
		}
		shown, err := t.of(each)
		if err != nil {
			return nil, err
		}
		var entries []json.RawMessage
		for _, account := range accounts {
			if account.Type != name {
				continue
			}
			if err := t.fits(shown, each, account); err != nil {
				return nil, err
			}
			entries = append(entries, account.Value)
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("%w: the type %q", ErrNothingOffered, name)
		}
		if filled[i], err = shown.Filled(each, entries); err != nil {
			return nil, err
		}
	}
	return filled, nil
}

// MaxOffered bounds the accounts that are offered for one type.
const MaxOffered = 40

// CheckOffered returns what is wrong with accounts: more than can be chosen from, one twice, or words that are none.
func CheckOffered(accounts []display.Offered) error {
	seen, count := map[string]bool{}, map[string]int{}
	for _, account := range accounts {
		if err := account.Check(); err != nil {
			return err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(account.Value))
		if err != nil {
			return errors.New("an account has a value that is not JSON")
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		key := account.Type + "\x00" + string(raw)
		if seen[key] {
			return errors.New("an account is there twice")
		}
		seen[key] = true
		if count[account.Type]++; count[account.Type] > MaxOffered {
			return fmt.Errorf("there are more than %d accounts of one type", MaxOffered)
		}
	}
	return nil
}

// fits reports why an account is no entry that an object can have.
func (t *Types) fits(shown *display.Type, object json.RawMessage, account display.Offered) error {
	filled, err := shown.Filled(object, []json.RawMessage{account.Value})
	if err != nil {
		return &MisfitError{account.Type, "it is not JSON"}
	}
	if err := t.valid(account.Type, filled); err != nil {
		return &MisfitError{account.Type, err.Error()}
	}
	return nil
}

// valid checks an object against the schema of its type. Errors name the place and the rule.
func (t *Types) valid(name string, object json.RawMessage) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(object))
	if err != nil {
		return err
	}
	if err := t.schemas[name].Validate(value); err != nil {
		return errors.New(violation(err))
	}
	return nil
}

// filledAtLogin returns requested with what allowed has in the lists that the login offers, and reports whether it offers them. The
// login is where these accounts are: of allowed it is checked that the schema allows it.
func (t *Types) filledAtLogin(shown *display.Type, allowed, requested json.RawMessage) (json.RawMessage, bool) {
	if t.Source(shown.Name()) != FromLogin || !t.open(requested) || t.valid(shown.Name(), allowed) != nil {
		return nil, false
	}
	return shown.FilledFrom(allowed, requested)
}

// Knowing returns the types with words for accounts that are offered, or that a grant has.
func (t *Types) Knowing(accounts []display.Offered) *Types {
	if len(accounts) == 0 {
		return t
	}
	knowing := *t
	knowing.shown = make(map[string]*display.Type, len(t.shown))
	for name, shown := range t.shown {
		if shown.TakesOffers() {
			shown = shown.Knowing(accounts)
		}
		knowing.shown[name] = shown
	}
	return &knowing
}

// Named returns those of accounts that the details have, as a grant keeps them: without balances.
func (d Details) Named(t *Types, accounts []display.Offered) []display.Offered {
	var named []display.Offered
	seen := map[string]bool{}
	for _, each := range d {
		shown, err := t.of(each)
		if err != nil {
			continue
		}
		for _, account := range shown.Named(each, accounts) {
			if key := account.Type + "\x00" + string(account.Value); !seen[key] {
				seen[key], named = true, append(named, account)
			}
		}
	}
	return named
}
