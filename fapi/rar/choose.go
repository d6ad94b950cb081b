package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
)

// Chosen returns the details with only what a form chose of their lists; see [display.Offer.Input]. Details without a choice are
// returned as they are. Errors wrap [display.ErrNotChosen], or are *[oauth.Error] with invalid_request for what was not offered.
func (d Details) Chosen(t *Types, form url.Values) (Details, error) {
	offers := make([][]display.Offer, len(d))
	for i, each := range d {
		shown, err := t.of(each)
		if err != nil {
			return nil, err
		}
		if offers[i], err = shown.Offers(each); err != nil {
			return nil, err
		}
	}
	picks, err := display.Picks(offers, form)
	if err != nil {
		return nil, notOffered(err)
	}
	var chosen Details
	for i, each := range d {
		if len(offers[i]) == 0 {
			chosen = append(chosen, each)
			continue
		}
		kept, err := t.chosen(each, picks[i])
		if err != nil {
			return nil, notOffered(err)
		}
		chosen = append(chosen, kept)
	}
	return chosen, nil
}

// notOffered translates the error for a choice that was not offered.
func notOffered(err error) error {
	if errors.Is(err, display.ErrNoSuchChoice) {
		return oauth.Errorf(oauth.InvalidRequest, "this form chooses what was not offered; go back and load the page again").Because(err)
	}
	return err
}

// chosen is an object after a choice, which fits its schema still.
func (t *Types) chosen(object json.RawMessage, picks map[string][]int) (json.RawMessage, error) {
	shown, err := t.of(object)
	if err != nil {
		return nil, err
	}
	kept, err := shown.Chosen(object, picks)
	if err != nil {
		return nil, err
	}
	if err := t.valid(shown.Name(), kept); err != nil {
		return nil, fmt.Errorf("fapi: the type %q: what a user chose does not fit the schema: %w", shown.Name(), err)
	}
	return Canonical(kept)
}

// of returns how an object is shown. Errors are of stored details whose type the configuration has no longer.
func (t *Types) of(object json.RawMessage) (*display.Type, error) {
	var named struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(object, &named); err != nil {
		return nil, fmt.Errorf("fapi: stored authorization_details: %w", err)
	}
	shown := t.shown[named.Type]
	if shown == nil {
		return nil, fmt.Errorf("fapi: stored authorization_details have the type %q, which is not configured", named.Type)
	}
	return shown, nil
}

// Restrict returns what was allowed of the details, or invalid_authorization_details: each object as it was requested, or with
// what a user chose of its lists, and each as often as it was requested. Others decide by it than a form of this server.
func (d Details) Restrict(t *Types, allowed Details) (Details, error) {
	left := slices.Clone(d)
	for _, each := range allowed {
		i := slices.IndexFunc(left, func(requested json.RawMessage) bool {
			shown, err := t.of(requested)
			if err != nil {
				return false
			}
			if filled, ok := t.filledAtLogin(shown, each, requested); ok {
				requested = filled
			}
			return shown.Within(each, requested)
		})
		if i < 0 {
			return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails,
				"authorization_details can only name objects that were requested, each as it was requested, with at least one entry of "+
					"each list to choose from")
		}
		left = slices.Delete(left, i, i+1)
	}
	return allowed, nil
}
