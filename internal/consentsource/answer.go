package consentsource

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"countersign/fapi/consent"
	"countersign/internal/strictjson"
	"countersign/store"
)

// answer is what the source answers.
type answer struct {
	// Outcome is "ok", "not_found", or "state": the consent is in another one than the operation needs.
	Outcome string   `json:"outcome"`
	Consent *wireOne `json:"consent"`
}

// wireOne is a consent as the source writes it.
type wireOne struct {
	ID           string            `json:"id"`
	ClientID     string            `json:"client_id"`
	Organisation string            `json:"organisation"`
	Kind         string            `json:"kind"`
	Status       string            `json:"status"`
	Version      int               `json:"version"`
	Shown        json.RawMessage   `json:"shown"`
	Permissions  []string          `json:"permissions"`
	Scopes       []string          `json:"scopes"`
	Hints        map[string]string `json:"hints"`
	Once         bool              `json:"once"`
	CreatedAt    string            `json:"created_at"`
	ChangedAt    string            `json:"changed_at"`
	ExpiresAt    string            `json:"expires_at"`
	EndsAt       string            `json:"ends_at"`
	Subject      string            `json:"subject"`
	GrantID      string            `json:"grant_id"`
	Interaction  string            `json:"interaction"`
	EndedBy      string            `json:"ended_by"`
	Reason       string            `json:"reason"`
}

const (
	// maxText bounds a text of a consent, in bytes, and maxTexts a list of them.
	maxText  = 512
	maxTexts = 500
	// maxShown bounds what users are shown, in bytes.
	maxShown = 16 << 10
)

// read reads an answer to a question. Errors are [consent.ErrNotFound], [consent.ErrState] with the consent, or *[Error].
func read(raw []byte, q question) (consent.Consent, error) {
	var given answer
	if strictjson.DecodeObject(raw, &given) != nil {
		return consent.Consent{}, errLie("its answer is not a JSON object as the contract has it")
	}
	switch given.Outcome {
	case "not_found":
		return consent.Consent{}, consent.ErrNotFound
	case "ok", "state":
	default:
		return consent.Consent{}, errLie("its answer does not say by outcome what became of the question")
	}
	if given.Consent == nil {
		return consent.Consent{}, errLie("its answer has no consent")
	}
	one, err := given.Consent.read(q)
	if err != nil {
		return consent.Consent{}, err
	}
	if given.Outcome == "state" {
		return one, consent.ErrState
	}
	return one, nil
}

// read checks a consent: it has to be the one, and the client's, that was asked for.
func (w *wireOne) read(q question) (consent.Consent, error) {
	lie := func(reason string) (consent.Consent, error) { return consent.Consent{}, errLie(reason) }
	if w.ID != q.ConsentID {
		return lie("its answer is about another consent")
	}
	if w.ClientID == "" || q.ClientID != "" && w.ClientID != q.ClientID {
		return lie("its answer is about another client's consent")
	}
	status := store.ConsentStatus(w.Status)
	if !slices.Contains([]store.ConsentStatus{
		store.ConsentAwaiting, store.ConsentAuthorised, store.ConsentRejected, store.ConsentConsumed, store.ConsentRevoked, store.ConsentExpired,
	}, status) {
		return lie("the status of the consent is none of the contract's")
	}
	if w.EndedBy != "" && !slices.Contains([]string{store.EndedByClient, store.EndedByBank, store.EndedByTime, store.RevokedByUser}, w.EndedBy) {
		return lie("ended_by of the consent is none of the contract's")
	}
	if w.Version < 1 || w.Version > 1<<30 {
		return lie("the version of the consent is not a number from 1 on")
	}
	if w.Kind == "" || !short(w.Kind, w.Organisation, w.Subject, w.GrantID, w.Reason, w.ClientID) || !shortAll(w.Permissions) || !shortAll(w.Scopes) || len(w.Hints) > maxTexts {
		return lie("a text of the consent is missing or too long")
	}
	for name, value := range w.Hints {
		if !short(name, value) || value == "" {
			return lie("a hint of the consent is empty or too long")
		}
	}
	var shown struct {
		Type string `json:"type"`
	}
	if len(w.Shown) > maxShown || strictjson.DecodeObject(w.Shown, &shown) != nil || shown.Type == "" {
		return lie("the consent does not say by shown what users are shown")
	}
	one := consent.Consent{
		ID: w.ID, ClientID: w.ClientID, Organisation: w.Organisation, Kind: w.Kind, Status: status, Version: w.Version, Shown: w.Shown,
		Permissions: w.Permissions, Scopes: w.Scopes, Hints: w.Hints, Once: w.Once, Elsewhere: true, Subject: w.Subject, GrantID: w.GrantID,
		EndedBy: w.EndedBy, Reason: w.Reason,
	}
	if w.Interaction != "" {
		bound, err := base64.RawURLEncoding.Strict().DecodeString(w.Interaction)
		if err != nil || len(bound) != len(one.Bound) {
			return lie("interaction of the consent is not one that it was told")
		}
		copy(one.Bound[:], bound)
	}
	for _, each := range []struct {
		text     string
		into     *time.Time
		required bool
	}{{w.CreatedAt, &one.CreatedAt, true}, {w.ChangedAt, &one.ChangedAt, true}, {w.ExpiresAt, &one.ExpiresAt, true}, {w.EndsAt, &one.EndsAt, false}} {
		if each.text == "" && !each.required {
			continue
		}
		at, err := time.Parse(time.RFC3339, each.text)
		if err != nil || at.Year() < 1970 || at.Year() > 9999 {
			return lie("a time of the consent is missing, or is none of RFC 3339")
		}
		*each.into = at.UTC().Truncate(time.Microsecond)
	}
	return one, nil
}

func short(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return len(text) > maxText })
}

func shortAll(texts []string) bool {
	return len(texts) <= maxTexts && short(texts...) && !slices.Contains(texts, "")
}
