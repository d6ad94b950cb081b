package checklist

import "slices"

// field lists what public bug reports of such servers, and a first day with this one, have shown.
func field() []Group {
	return []Group{{"FD", "What the field brings", slices.Concat(findings(), fieldHabits(), fieldKeySets(), fieldCertificates(), abuse(), floods(), applications(), fieldHSMs(), fieldOperation(), firstDay())}}
}
