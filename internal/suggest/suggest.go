// Package suggest finds the name that somebody meant who made a typing error.
package suggest

import "strings"

// Distance is Levenshtein's: insertions, deletions and replacements of bytes. Long names are cut, so that a
// hostile file costs no time.
func Distance(a, b string) int {
	const most = 64
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Nearest returns the known name from which an unknown one differs by a typing error, or "" when there is none: by two
// bytes at most, and less in short names.
func Nearest(unknown string, known []string) string {
	best, least := "", min(2, len(unknown)/3)+1
	for _, name := range known {
		if distance := Distance(unknown, name); distance < least {
			best, least = name, distance
		}
	}
	return best
}

// Hint asks whether the nearest of the known names was meant, or says something else where there is none.
func Hint(unknown string, known []string, otherwise string) string {
	if nearest := Nearest(unknown, known); nearest != "" {
		return "did you mean " + nearest + "?"
	}
	return otherwise
}

// NearestKey is Nearest for keys of nested tables, with dots between their names. It finds a key in the wrong table and one without
// its ending, such as _file, too.
func NearestKey(unknown string, known []string) string {
	best, least := "", 1<<30
	for _, key := range known {
		if d := keyDistance(unknown, key); d < least {
			best, least = key, d
		}
	}
	if _, last := cutLast(unknown); least > max(2, len(last)/3) {
		return ""
	}
	return best
}

// keyDistance is small for a typing error, a key in the wrong table and a missing ending such as _file.
func keyDistance(unknown, known string) int {
	unknownTable, unknownLast := cutLast(unknown)
	knownTable, knownLast := cutLast(known)
	distance := Distance(unknownLast, knownLast)
	if strings.HasPrefix(knownLast, unknownLast+"_") || strings.HasSuffix(knownLast, "_"+unknownLast) {
		distance = min(distance, 1)
	}
	if unknownTable == knownTable {
		return distance
	}
	return distance + min(2, Distance(unknownTable, knownTable))
}

func cutLast(key string) (table, last string) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
}
