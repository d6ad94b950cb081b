// Package set has the two operations on lists of distinct values that the project needs, keeping their order.
package set

import "slices"

// Intersect returns the values of allowed that are also in wanted, in the order of allowed.
func Intersect[T comparable](allowed, wanted []T) []T {
	var both []T
	for _, value := range allowed {
		if slices.Contains(wanted, value) {
			both = append(both, value)
		}
	}
	return both
}

// Union returns the values of list followed by those of more that are not in it, each once.
func Union[T comparable](list, more []T) []T {
	joined := slices.Clone(list)
	for _, value := range more {
		if !slices.Contains(joined, value) {
			joined = append(joined, value)
		}
	}
	return joined
}
