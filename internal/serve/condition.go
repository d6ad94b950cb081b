package serve

import (
	"context"
	"time"

	"countersign/internal/pause"
	"countersign/store"
)

// conditionEvery is how often it is looked whether the store's condition has changed.
const conditionEvery = time.Second

// watchCondition logs what changes about this node's connection to the store, until ctx ends.
func (s *server) watchCondition(ctx context.Context) {
	known, ok := s.store.(store.Conditioned)
	if !ok {
		return
	}
	if advice := known.Condition().Advice; advice != "" {
		s.log.WarnContext(ctx, "database sessions cannot be set up", "warning", advice)
	}
	before := s.logCondition(ctx, store.Condition{}, known.Condition())
	for pause.For(ctx, conditionEvery) == nil {
		before = s.logCondition(ctx, before, known.Condition())
	}
}

// logCondition logs the differences between two conditions, and returns the second.
func (s *server) logCondition(ctx context.Context, before, now store.Condition) store.Condition {
	switch {
	case before.Clock == nil && now.Clock != nil:
		s.log.ErrorContext(ctx, "clock differs from the database's; not serving", "error", now.Clock.Error())
	case before.Clock != nil && now.Clock == nil:
		s.log.InfoContext(ctx, "clock agrees with the database's again; serving")
	}
	switch {
	case before.Notifications == nil && now.Notifications != nil:
		s.log.WarnContext(ctx, "database notifications do not arrive; polling for changes", "error", now.Notifications.Error())
	case before.Notifications != nil && now.Notifications == nil:
		s.log.InfoContext(ctx, "database notifications arrive again")
	}
	switch {
	case before.Address == nil && now.Address != nil:
		s.log.ErrorContext(ctx, "file reload failed; keeping previous", "key", "store.url_file", "error", now.Address.Error())
	case before.Address != nil && now.Address == nil:
		s.log.InfoContext(ctx, "audit", "event", "files_reloaded", "key", "store.url_file")
	}
	return now
}
