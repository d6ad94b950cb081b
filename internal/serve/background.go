package serve

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"countersign/internal/admin"
	"countersign/internal/auditlog"
	"countersign/internal/ceremony"
	"countersign/internal/condition"
	"countersign/internal/observing"
	"countersign/internal/pause"
	"countersign/internal/reread"
	"countersign/store"
)

// start starts what runs beside the requests until ctx ends, and returns how to wait for the end of it: what came of a ping
// is recorded and the audit log is sealed before that.
func (s *server) start(ctx context.Context) (wait func()) {
	go purge(ctx, s.store, s.log)
	go condition.Watch(ctx, s.store, s.log)
	if shared, ok := s.store.(store.Watcher); ok {
		go shared.Watch(ctx, s.live.onChange)
	}
	if plan := ceremony.ScheduleOf(s.Config); plan.Every > 0 {
		scheduler := &ceremony.Scheduler{
			Schedule: plan, Store: admin.Audited(s.store, s.Now, "schedule"), Holder: s.keys.Tokens[0], Now: s.Now, Logger: s.log,
		}
		go scheduler.Run(ctx)
	}
	stopSealing := s.seal(ctx)
	var jobs sync.WaitGroup
	jobs.Go(s.live.jobs.Wait)
	jobs.Go(func() {
		s.observer.Run(ctx, observing.Parts{
			Store: s.store, Signer: s.keys.Signer, Schema: s.schema, Configuration: configured(s),
		})
	})
	jobs.Go(func() { s.lines.Run(ctx) })
	jobs.Go(func() { s.alarms.refusals.lines.Run(ctx) })
	return func() {
		jobs.Wait()
		stopSealing() // after the last entry
	}
}

// configured says how reading the configuration again went.
func configured(s *server) func() reread.State {
	if s.state != nil {
		return s.state
	}
	return s.live.configuration.State
}

// seal writes this node's chain of the audit log until stop is called, which waits for the last checkpoint.
func (s *server) seal(ctx context.Context) (stop func()) {
	sealer := &auditlog.Sealer{
		Store: s.store, Signer: s.keys.Signer, Chain: s.chain,
		Every: s.Config.Audit.CheckpointEvery.Std(), Entries: uint64(s.Config.Audit.CheckpointEntries), Now: s.Now, Log: s.log,
		Meter: s.observer.AuditMeter(),
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var sealing sync.WaitGroup
	sealing.Go(func() { sealer.Run(running) })
	return func() {
		cancel()
		sealing.Wait()
	}
}

const (
	// purgeEvery is how often records are removed that nobody can ask for any more.
	purgeEvery = 30 * time.Second
	// purgeLimit bounds one step, in records, so that purging never holds up a request for long.
	purgeLimit = 1000
)

// purge removes expired records until ctx ends. Several nodes may do it at once.
func purge(ctx context.Context, s store.Store, log *slog.Logger) {
	for pause.For(ctx, purgeEvery) == nil {
		purgeAll(ctx, s, log)
	}
}

// purgeAll removes what is expired now, step by step.
func purgeAll(ctx context.Context, s store.Store, log *slog.Logger) {
	for ctx.Err() == nil {
		removed, err := s.Purge(ctx, purgeLimit)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			log.WarnContext(ctx, "purge of expired records failed", "error", err.Error())
			return
		}
		if removed < purgeLimit {
			return
		}
	}
}
