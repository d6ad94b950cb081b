// Package backend holds what the backends of the store share: the keeping of their schema and the spans of
// their verbs.
package backend
