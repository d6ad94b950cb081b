package session

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"time"
)

// Memory is a [Store] of one process, which ends with it.
type Memory struct {
	mu       sync.Mutex
	sessions map[string]Record
	named    map[name]map[string]struct{} // the keys of the sessions of a user or of a provider's session
	ended    map[name]end
	used     map[string]time.Time
}

// name is what sessions are ended by: a key, a sid, or a subject.
type name struct{ kind, issuer, value string }

type end struct{ at, until time.Time }

// The kinds of names.
const (
	byKey     = "key"
	bySID     = "sid"
	bySubject = "sub"
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{sessions: map[string]Record{}, named: map[name]map[string]struct{}{}, ended: map[name]end{}, used: map[string]time.Time{}}
}

// Load implements [Store].
func (m *Memory) Load(_ context.Context, key string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record, ok := m.sessions[key]
	if !ok {
		return Record{}, ErrNotFound
	}
	record.Data = bytes.Clone(record.Data)
	return record, nil
}

// Save implements [Store].
func (m *Memory) Save(_ context.Context, record Record, expect int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, ok := m.sessions[record.Key]
	if ok && stored.Version != expect || !ok && expect != 0 {
		return ErrConflict
	}
	if m.hasEnded(record) {
		return ErrEnded
	}
	if ok {
		m.remove(stored)
		if stored.IdleUntil.After(record.IdleUntil) {
			record.IdleUntil = stored.IdleUntil
		}
	}
	record.Version, record.Data = expect+1, bytes.Clone(record.Data)
	m.sessions[record.Key] = record
	for _, each := range names(record) {
		if m.named[each] == nil {
			m.named[each] = map[string]struct{}{}
		}
		m.named[each][record.Key] = struct{}{}
	}
	return nil
}

// names are the ways to end a session besides its key.
func names(record Record) []name {
	all := []name{{bySubject, record.Issuer, record.Subject}}
	if record.SID != "" {
		all = append(all, name{bySID, record.Issuer, record.SID})
	}
	return all
}

func (m *Memory) remove(record Record) {
	delete(m.sessions, record.Key)
	for _, each := range names(record) {
		delete(m.named[each], record.Key)
		if len(m.named[each]) == 0 {
			delete(m.named, each)
		}
	}
}

// Touch implements [Store].
func (m *Memory) Touch(_ context.Context, key string, idleUntil time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if record, ok := m.sessions[key]; ok && idleUntil.After(record.IdleUntil) {
		record.IdleUntil = idleUntil
		m.sessions[key] = record
	}
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, key string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if record, ok := m.sessions[key]; ok {
		m.remove(record)
	}
	if !until.IsZero() {
		m.end(name{kind: byKey, value: key}, end{until: until})
	}
	return nil
}

// DeleteBySID implements [Store].
func (m *Memory) DeleteBySID(_ context.Context, issuer, sid string, until time.Time) error {
	m.endAll(name{bySID, issuer, sid}, end{until: until})
	return nil
}

// DeleteBySubject implements [Store].
func (m *Memory) DeleteBySubject(_ context.Context, issuer, subject string, at, until time.Time) error {
	m.endAll(name{bySubject, issuer, subject}, end{at, until})
	return nil
}

func (m *Memory) endAll(by name, e end) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(by, e)
	for key := range m.named[by] {
		if record := m.sessions[key]; by.kind == bySID || !record.SignedInAt.After(e.at) {
			m.remove(record)
		}
	}
}

// end remembers an end, or the later of two.
func (m *Memory) end(by name, e end) {
	if before, ok := m.ended[by]; ok {
		if before.at.After(e.at) {
			e.at = before.at
		}
		if before.until.After(e.until) {
			e.until = before.until
		}
	}
	m.ended[by] = e
}

func (m *Memory) hasEnded(record Record) bool {
	if _, ok := m.ended[name{kind: byKey, value: record.Key}]; ok {
		return true
	}
	if _, ok := m.ended[name{bySID, record.Issuer, record.SID}]; ok && record.SID != "" {
		return true
	}
	e, ok := m.ended[name{bySubject, record.Issuer, record.Subject}]
	return ok && !record.SignedInAt.After(e.at)
}

// Ended implements [Store].
func (m *Memory) Ended(_ context.Context, record Record) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hasEnded(record), nil
}

// Consume implements [Store].
func (m *Memory) Consume(_ context.Context, value string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.used[value]; ok {
		return ErrConsumed
	}
	m.used[value] = until
	return nil
}

// Sweep implements [Store].
func (m *Memory) Sweep(_ context.Context, now time.Time, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.sessions) + len(m.ended) + len(m.used)
	left := limit
	for _, record := range m.sessions {
		if left > 0 && live(&record, now) != nil {
			m.remove(record)
			left--
		}
	}
	maps.DeleteFunc(m.ended, func(_ name, e end) bool { return !now.Before(e.until) })
	maps.DeleteFunc(m.used, func(_ string, until time.Time) bool { return !now.Before(until) })
	return before - len(m.sessions) - len(m.ended) - len(m.used), nil
}
