package tokens

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"countersign/fapi/profile"
	"countersign/internal/random"
	"countersign/store"
)

// Extra returns the claims of an ecosystem that are not about the user, with which a profile completes one place
// ([profile.InIDToken] and the others): those that it always has there, and those that the request asked for; nil where there are none.
func Extra(of profile.Profile, grant store.Grant, detail Detail, place string) map[string]json.RawMessage {
	if grant.Subject == "" { // nobody has allowed anything
		return nil
	}
	var extra map[string]json.RawMessage
	for _, rule := range of.Claims {
		if !slices.Contains(rule.In, place) {
			continue
		}
		asked := place != profile.InIDToken && place != profile.InUserinfo || rule.From == profile.FromRequest
		if !rule.Always && !asked && !detail.Claims.Asks(rule.Name, place) {
			continue
		}
		value := extraValue(rule, grant, detail)
		if len(value) == 0 {
			continue
		}
		if extra == nil {
			extra = map[string]json.RawMessage{}
		}
		extra[rule.Name] = value
	}
	return extra
}

// extraValue returns the value of a claim, or nil.
func extraValue(rule profile.ClaimRule, grant store.Grant, detail Detail) json.RawMessage {
	switch rule.From {
	case profile.FromRequest:
		return detail.Claims.Value(rule.Name)
	case profile.FromConsent:
		return quoted(detail.Consent.Named())
	case profile.FromGrant:
		return quoted(grant.ID)
	case profile.FromTransaction:
		return quoted(detail.Transaction)
	}
	return nil
}

func quoted(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	raw, err := json.Marshal(text)
	if err != nil { // of no text
		return nil
	}
	return raw
}

// beside writes further members into an object that has some. Their names differ from those that it has.
func beside(body []byte, err error, members map[string]json.RawMessage) ([]byte, error) {
	if err != nil || len(members) == 0 {
		return body, err
	}
	more, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(body, []byte("}")), ','), more[1:]...), nil
}

// Beside returns a value that is a JSON object with further members: those of an ecosystem in a token or an answer. Without any it is
// the value itself. Their names differ from those that it has.
func Beside(value any, members map[string]json.RawMessage) (any, error) {
	if len(members) == 0 {
		return value, nil
	}
	body, err := json.Marshal(value)
	body, err = beside(body, err, members)
	return json.RawMessage(body), err
}

// idTokenLifetime bounds the configured lifetime of ID tokens by a profile, which can have other bounds for those of backchannel
// authentication.
func idTokenLifetime(configured time.Duration, of profile.Profile, backchannel bool) time.Duration {
	least, most := of.MinIDTokenLifetime, of.MaxIDTokenLifetime
	if own := of.Backchannel; backchannel && (own.MinIDTokenLifetime > 0 || own.MaxIDTokenLifetime > 0) {
		least, most = own.MinIDTokenLifetime, own.MaxIDTokenLifetime
	}
	if most > 0 {
		configured = min(configured, most)
	}
	return max(configured, least)
}

// RefreshUntil returns when the refresh tokens of a grant end by its client's profile: with the grant, or before.
func (v Validated) RefreshUntil() time.Time {
	end := v.grant.ExpiresAt
	if most := v.client.Profile.MaxRefreshLifetime; most > 0 {
		if last := v.grant.CreatedAt.Add(most); last.Before(end) {
			return last
		}
	}
	return end
}

// Sharing returns for how long a request asks, by the claim of its ecosystem that says so in seconds; zero where it asks for once, or
// the ecosystem has no such claim. A negative or fractional one was refused when the request was read.
func (d Detail) Sharing(of profile.Profile) time.Duration {
	if of.DurationClaim == "" {
		return 0
	}
	seconds, err := strconv.ParseInt(string(d.Claims.Value(of.DurationClaim)), 10, 32)
	if err != nil || seconds < 0 {
		return 0
	}
	lasts := time.Duration(seconds) * time.Second
	if of.MaxRefreshLifetime > 0 {
		lasts = min(lasts, of.MaxRefreshLifetime)
	}
	return lasts
}

// Lasts returns how long a grant lasts, where one lasts whole otherwise: as long as the user shares by the request, or a shorter whole
// where refresh tokens of the ecosystem do not have to live as long.
func (d Detail) Lasts(of profile.Profile, whole time.Duration) time.Duration {
	sharing := d.Sharing(of)
	switch {
	case sharing == 0:
		return whole
	case of.RefreshUntilConsentEnds:
		return sharing
	}
	return min(sharing, whole)
}

// Begin returns the detail with the identifier of its transaction, where the ecosystem has one.
func (d Detail) Begin(of profile.Profile) Detail {
	if slices.ContainsFunc(of.Claims, func(rule profile.ClaimRule) bool { return rule.From == profile.FromTransaction }) {
		d.Transaction = random.UUID()
	}
	return d
}

// Extra returns the claims of the ecosystem for a place of what was validated.
func (v Validated) Extra(place string) map[string]json.RawMessage {
	return Extra(v.client.Profile, v.grant, v.detail, place)
}
