package metrics

import (
	"time"

	"countersign/signer"
	"countersign/store"
)

// Sample is what was found out about the server by asking its parts, which is not done when metrics are read: a store that is away
// must not keep anybody from them.
type Sample struct {
	// At is when it was found out. What is older than [SampleLasts] is not shown any more.
	At time.Time
	// Backlogs and Standbys are those of the store; nil when it did not answer.
	Backlogs []store.Backlog
	Standbys []store.Standby
	// Keys are the signing keys.
	Keys []signer.Record
	// Replicas are the HSMs.
	Replicas []signer.ReplicaState
	// Pool is nil for a store without one.
	Pool *store.Pool
	// Condition is nil for a store that knows none.
	Condition *store.Condition
	// NotReady has what keeps each part from working: the store and the HSM; nil for one that works.
	NotReady map[string]error
	// Ends is when the certificates in each configured file end.
	Ends map[string]time.Time
	// Documents is when the documents of directories were fetched.
	Documents []Document
	// Configuration is how reading it again went; nil where it is not read again.
	Configuration *Configuration
	// Schema is the newest step of the schema.
	Schema int64
}

// Document is one that a directory publishes.
type Document struct {
	Directory, Kind string
	FetchedAt       time.Time
}

// Configuration is how reading the configuration again went.
type Configuration struct {
	// TakenAt is when the one in use was taken, and Refused how many could not be taken so far.
	TakenAt time.Time
	Refused int
	// InUse reports that the one in the file is in use.
	InUse bool
}

// SampleLasts is how long a sample is shown.
const SampleLasts = time.Minute

// Sampled shows a sample from now on.
func (m *Metrics) Sampled(sample Sample) { m.sample.Store(&sample) }

// current is the sample that is shown; nil for none.
func (m *Metrics) current() *Sample {
	sample := m.sample.Load()
	if sample == nil || m.now().Sub(sample.At) > SampleLasts {
		return nil
	}
	return sample
}

// truth is a yes or no as a value.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// sampled is for a metric that shows the current sample, if there is one.
func (m *Metrics) sampled(look func(s *Sample, o observer)) func(observer) {
	return func(o observer) {
		if s := m.current(); s != nil {
			look(s, o)
		}
	}
}

// observe makes the metrics that are looked at.
func (m *Metrics) observe(made *maker, config Config) {
	m.observeStore(made, config)
	m.observeKeys(made)
	made.gauge(auditUnsealed, func(o observer) {
		age := 0.0
		if since := m.unsealedSince.Load(); since != 0 {
			age = max(0, m.now().Sub(time.Unix(0, since)).Seconds())
		}
		o(age, m.issuer.with())
	})
	made.gauge(ready, m.sampled(func(s *Sample, o observer) {
		for part, err := range s.NotReady {
			o(truth(err == nil), m.issuer.with("part", part))
		}
	}))
	made.gauge(expires, m.sampled(func(s *Sample, o observer) {
		for file, end := range s.Ends {
			o(float64(end.Unix()), m.issuer.with("file", file))
		}
	}))
	configured := func(look func(Configuration) float64) func(observer) {
		return m.sampled(func(s *Sample, o observer) {
			if s.Configuration != nil {
				o(look(*s.Configuration), m.issuer.with())
			}
		})
	}
	made.gauge(configurationTaken, configured(func(c Configuration) float64 { return float64(c.TakenAt.Unix()) }))
	made.gauge(configurationInUse, configured(func(c Configuration) float64 { return truth(c.InUse) }))
	made.counted(configurationRefused, configured(func(c Configuration) float64 { return float64(c.Refused) }))
	made.gauge(documentAge, m.sampled(func(s *Sample, o observer) {
		for _, document := range s.Documents {
			o(s.At.Sub(document.FetchedAt).Seconds(), m.issuer.with("directory", document.Directory, "document", document.Kind))
		}
	}))
}

func (m *Metrics) observeStore(made *maker, config Config) {
	made.gauge(backlogWaiting, m.sampled(func(s *Sample, o observer) {
		for _, backlog := range s.Backlogs {
			o(float64(backlog.Waiting), m.issuer.with("kind", backlog.Kind))
		}
	}))
	made.gauge(backlogAge, m.sampled(func(s *Sample, o observer) {
		for _, backlog := range s.Backlogs {
			age := 0.0
			if !backlog.Oldest.IsZero() {
				age = max(0, s.At.Sub(backlog.Oldest).Seconds())
			}
			o(age, m.issuer.with("kind", backlog.Kind))
		}
	}))
	made.gauge(standbyLag, m.sampled(func(s *Sample, o observer) {
		for _, standby := range s.Standbys {
			o(standby.Lag.Seconds(), m.issuer.with("standby", standby.Name))
		}
	}))
	made.gauge(schemaVersion, m.sampled(func(s *Sample, o observer) {
		if s.Schema != 0 {
			o(float64(s.Schema), m.issuer.with("db.system.name", config.Database))
		}
	}))
	made.gauge(storeCondition, m.sampled(func(s *Sample, o observer) {
		if s.Condition == nil {
			return
		}
		o(truth(s.Condition.Clock == nil), m.issuer.with("part", "clock"))
		o(truth(s.Condition.Notifications == nil), m.issuer.with("part", "notifications"))
		o(truth(s.Condition.Address == nil), m.issuer.with("part", "address"))
	}))
	pooled := func(look func(store.Pool, observer)) func(observer) {
		return m.sampled(func(s *Sample, o observer) {
			if s.Pool != nil {
				look(*s.Pool, o)
			}
		})
	}
	const pool, name = "db.client.connection.pool.name", "countersign"
	made.gauge(storeConnections, pooled(func(p store.Pool, o observer) {
		o(float64(p.Used), m.issuer.with(pool, name, "db.client.connection.state", "used"))
		o(float64(p.Idle), m.issuer.with(pool, name, "db.client.connection.state", "idle"))
	}))
	made.gauge(storeMost, pooled(func(p store.Pool, o observer) { o(float64(p.Most), m.issuer.with(pool, name)) }))
	made.gauge(storeWaiting, pooled(func(p store.Pool, o observer) { o(float64(p.Waiting), m.issuer.with(pool, name)) }))
	made.counted(storeRefused, pooled(func(p store.Pool, o observer) { o(float64(p.Refused), m.issuer.with()) }))
}

func (m *Metrics) observeKeys(made *maker) {
	each := func(value func(signer.ReplicaState) float64) func(observer) {
		return m.sampled(func(s *Sample, o observer) {
			for _, one := range s.Replicas {
				o(value(one), m.issuer.with("hsm", one.Name))
			}
		})
	}
	made.gauge(hsmWaiting, each(func(r signer.ReplicaState) float64 { return float64(r.Load.Waiting) }))
	made.gauge(hsmUsing, each(func(r signer.ReplicaState) float64 { return float64(r.Load.Using) }))
	made.gauge(hsmExpected, each(func(r signer.ReplicaState) float64 { return r.Load.Expected.Seconds() }))
	made.counted(hsmRefused, each(func(r signer.ReplicaState) float64 { return float64(r.Load.Refused) }))
	made.counted(hsmStarts, each(func(r signer.ReplicaState) float64 { return float64(r.Load.Started) }))
	made.gauge(hsmResting, each(func(r signer.ReplicaState) float64 { return truth(r.Resting) }))
	made.gauge(keyAge, m.sampled(func(s *Sample, o observer) {
		for _, key := range s.Keys {
			for _, use := range key.Uses {
				o(max(0, s.At.Sub(since(key)).Seconds()), m.issuer.with(
					"kid", key.ID, "algorithm", string(key.Algorithm), "use", string(use), "state", string(key.State)))
			}
		}
	}))
}

// since is when a key came into its state.
func since(key signer.Record) time.Time {
	switch key.State {
	case signer.Active:
		return key.ActivatedAt
	case signer.Retiring:
		return key.RetiredAt
	}
	return key.CreatedAt
}
