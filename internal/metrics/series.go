package metrics

import (
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// labelled are the labels of a value, as the two kinds of instruments want them.
type labelled struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// IssuerLabel is a label of all metrics: several issuers may run in one process.
const IssuerLabel = "issuer"

// issuer is the name of the issuer that is measured. It makes the labels of all values.
type issuer string

// label makes labels as [issuer.with] does.
func (name issuer) label(pairs ...string) labelled {
	option := name.with(pairs...)
	return labelled{add: []metric.AddOption{option}, record: []metric.RecordOption{option}}
}

// with makes labels of names and values in turn, with that of the issuer; those without a value are left out.
func (name issuer) with(pairs ...string) metric.MeasurementOption {
	var attributes []attribute.KeyValue
	if name != "" {
		attributes = append(attributes, attribute.String(IssuerLabel, string(name)))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			attributes = append(attributes, attribute.String(pairs[i], pairs[i+1]))
		}
	}
	return metric.WithAttributeSet(attribute.NewSet(attributes...))
}

// series keeps the labels that were made, by what they are made of: making them costs more than all else about a value.
type series[K comparable] struct {
	mu    sync.RWMutex
	known map[K]labelled
	make  func(K) labelled
}

// of returns the labels of a key. Keys are few: whatever comes from outside went through [names] before.
func (s *series[K]) of(key K) labelled {
	s.mu.RLock()
	found, ok := s.known[key]
	s.mu.RUnlock()
	if ok {
		return found
	}
	made := s.make(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[K]labelled{}
	}
	s.known[key] = made
	return made
}

// Other is the label of what has no name of its own.
const Other = "other"

// names bounds the values of a label: the first that come keep their names.
type names struct {
	most int
	// word says that a name is made of a to z and underscores, and no longer than wordLength.
	word bool

	mu    sync.RWMutex
	known map[string]bool
}

const wordLength = 48

// newNames makes names, of which some are known from the start.
func newNames(most int, word bool, known ...string) *names {
	n := &names{most: most + len(known), word: word, known: map[string]bool{}}
	for _, name := range known {
		n.known[name] = true
	}
	return n
}

// of returns a name, or [Other]. An empty one stays empty.
func (n *names) of(name string) string {
	if name == "" {
		return ""
	}
	n.mu.RLock()
	known, full := n.known[name], len(n.known) >= n.most
	n.mu.RUnlock()
	switch {
	case known:
		return name
	case full, n.word && !isWord(name):
		return Other
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= n.most && !n.known[name] {
		return Other
	}
	n.known[strings.Clone(name)] = true
	return name
}

func isWord(name string) bool {
	return len(name) <= wordLength && !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
}
