package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"countersign/internal/admin/fault"
	"countersign/internal/strictjson"
	"countersign/store"
)

// ClientUpdate is a change of a client that has been checked and not made.
type ClientUpdate struct {
	record store.Client
	// Changes are the differences, two lines for each member: "- member: old" and "+ member: new". None means that the
	// client is like that already.
	Changes []string
}

// PlannedUpdate is a change that somebody else has checked: record is the client as it will be.
func PlannedUpdate(record store.Client, changes []string) ClientUpdate {
	return ClientUpdate{record, changes}
}

// Version is the one that the client gets.
func (u ClientUpdate) Version() int { return u.record.Version }

// Client is the client as it will be.
func (u ClientUpdate) Client() store.Client { return u.record }

// PlanUpdate checks new metadata of a client that exists, as [Admin.AddClient] does, and compares them. Without a profile in
// wanted and in the metadata the client keeps its own.
func (a *Admin) PlanUpdate(ctx context.Context, wanted NewClient) (ClientUpdate, error) {
	existing, err := a.Client(ctx, wanted.ID)
	if err != nil {
		return ClientUpdate{}, err
	}
	if wanted.Profile == "" {
		wanted.Profile = profileNamed(wanted.Metadata, existing.Profile)
	}
	if err := wanted.check(); err != nil {
		return ClientUpdate{}, err
	}
	changes, err := differences(existing, wanted)
	if err != nil {
		return ClientUpdate{}, err
	}
	existing.Profile, existing.Metadata = wanted.Profile, wanted.Metadata
	existing.Version++
	return ClientUpdate{existing, changes}, nil
}

// Update makes the change, unless somebody else has changed the client since it was planned.
func (a *Admin) Update(ctx context.Context, planned ClientUpdate) error {
	return a.putClient(ctx, planned.record)
}

// differences compares a client with what it shall be, member by member.
func differences(existing store.Client, wanted NewClient) ([]string, error) {
	var old, fresh map[string]json.RawMessage
	if err := strictjson.Decode(existing.Metadata, &old); err != nil {
		return nil, fmt.Errorf("the stored client %q: %w", existing.ID, err)
	}
	if err := strictjson.Decode(wanted.Metadata, &fresh); err != nil {
		return nil, fault.InInput(err)
	}
	var lines []string
	if existing.Profile != wanted.Profile {
		lines = append(lines, "- profile: "+existing.Profile, "+ profile: "+wanted.Profile)
	}
	delete(old, "profile")
	delete(fresh, "profile")
	names := maps.Clone(old)
	maps.Copy(names, fresh)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := compact(old[name]), compact(fresh[name])
		if bytes.Equal(before, after) {
			continue
		}
		if before != nil {
			lines = append(lines, fmt.Sprintf("- %s: %s", name, before))
		}
		if after != nil {
			lines = append(lines, fmt.Sprintf("+ %s: %s", name, after))
		}
	}
	return lines, nil
}

// compact is a value without spaces, with the members of objects in order, so that two spellings are one. Nil is none.
func compact(raw json.RawMessage) []byte {
	if raw == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if decoder.Decode(&value) != nil || encoder.Encode(value) != nil {
		return raw
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Holdings are what a client has, and what ends with it.
type Holdings struct {
	// Grants are those that are neither revoked nor expired, with their codes and tokens; Consents are what users are not
	// asked again.
	Grants, Consents int
	// More reports that there are more of them than were counted.
	More bool
}

// String is the holdings in words.
func (h Holdings) String() string {
	least := ""
	if h.More {
		least = "at least "
	}
	return fmt.Sprintf("%s%d active grants with their codes and tokens, %d consents, and every request under way", least, h.Grants, h.Consents)
}

// maxCounted bounds how many grants and consents are read to be counted.
const maxCounted = 10_000

// Holdings counts what a client has.
func (a *Admin) Holdings(ctx context.Context, id string) (Holdings, error) {
	grants, err := a.Store.ListGrants(ctx, store.Filter{ClientID: id, Limit: maxCounted})
	if err != nil {
		return Holdings{}, err
	}
	consents, err := a.Store.ListConsents(ctx, store.Filter{ClientID: id, Limit: maxCounted})
	if err != nil {
		return Holdings{}, err
	}
	return Holdings{
		Grants: a.ActiveGrants(grants), Consents: len(consents), More: len(grants) == maxCounted || len(consents) == maxCounted,
	}, nil
}
