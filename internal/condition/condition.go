// Package condition logs what changes about a node's connection to its store.
package condition

import (
	"context"
	"log/slog"
	"time"

	"countersign/internal/pause"
	"countersign/store"
)

// every is how often it is looked whether the store's condition has changed.
const every = time.Second

// Watch logs what changes about this node's connection to the store, until ctx ends.
func Watch(ctx context.Context, of store.Store, log *slog.Logger) {
	known, ok := of.(store.Conditioned)
	if !ok {
		return
	}
	if advice := known.Condition().Advice; advice != "" {
		log.WarnContext(ctx, "database sessions cannot be set up", "warning", advice)
	}
	before := differ(ctx, log, store.Condition{}, known.Condition())
	for pause.For(ctx, every) == nil {
		before = differ(ctx, log, before, known.Condition())
	}
}

// differ logs the differences between two conditions, and returns the second.
func differ(ctx context.Context, log *slog.Logger, before, now store.Condition) store.Condition {
	switch {
	case before.Clock == nil && now.Clock != nil:
		log.ErrorContext(ctx, "clock differs from the database's; not serving", "error", now.Clock.Error())
	case before.Clock != nil && now.Clock == nil:
		log.InfoContext(ctx, "clock agrees with the database's again; serving")
	}
	switch {
	case before.Notifications == nil && now.Notifications != nil:
		log.WarnContext(ctx, "database notifications do not arrive; polling for changes", "error", now.Notifications.Error())
	case before.Notifications != nil && now.Notifications == nil:
		log.InfoContext(ctx, "database notifications arrive again")
	}
	switch {
	case before.Address == nil && now.Address != nil:
		log.ErrorContext(ctx, "file reload failed; keeping previous", "key", "store.url_file", "error", now.Address.Error())
	case before.Address != nil && now.Address == nil:
		log.InfoContext(ctx, "audit", "event", "files_reloaded", "key", "store.url_file")
	}
	return now
}
