package directories

import (
	"context"
	"slices"
	"time"

	"countersign/fapi/profile"
	"countersign/internal/jose"
)

// Examined is what was found out about a directory by asking it.
type Examined struct {
	// Algorithms are those that its keys verify, among those that its statements may have; Keys counts all keys that verify.
	Algorithms []string
	Keys       int
	KeysError  error
	// Participants counts those on its lists, and software; ListsError is why they cannot be read.
	Participants int
	ListsError   error
	// KeysKept and ListsKept are when a node last read them; zero for never, or where they cannot be read.
	KeysKept, ListsKept time.Time
}

// Examine asks a directory for its keys and its lists, as a node does, and stores nothing. Its settings have been checked.
func (d *Directories) Examine(ctx context.Context, name string) Examined {
	one := d.Named(name)
	if one == nil {
		return Examined{}
	}
	var found Examined
	document, err := one.client.Get(ctx, one.KeysAddress, "application/jwk-set+json, application/json")
	var set jose.KeySet
	if err == nil {
		set, err = jose.ParseKeySet(document.Body)
	}
	found.KeysError = err
	keys := set.Keys()
	found.Keys = len(keys)
	for _, alg := range one.statementAlgorithms() {
		if slices.ContainsFunc(keys, func(k jose.Key) bool { return k.Verifies(alg) }) {
			found.Algorithms = append(found.Algorithms, alg)
		}
	}
	if kept, err := one.config.Store.DirectoryDocument(ctx, one.Name, keysDocument); err == nil {
		found.KeysKept = kept.FetchedAt
	}
	if one.ParticipantsAddress == "" {
		return found
	}
	for _, list := range one.shape.Lists {
		statuses, _, err := one.readPages(ctx, list)
		if err != nil {
			found.ListsError = err
			break
		}
		found.Participants += len(statuses)
	}
	if kept, err := one.config.Store.DirectoryDocument(ctx, one.Name, participantsDocument); err == nil {
		found.ListsKept = kept.FetchedAt
	}
	return found
}

// statementAlgorithms are those that its statements may be signed with.
func (d *Directory) statementAlgorithms() []string {
	full, _ := profile.Lookup(d.Profile)
	if len(full.Registration.Algorithms) > 0 {
		return full.Registration.Algorithms
	}
	return full.Algorithms
}
