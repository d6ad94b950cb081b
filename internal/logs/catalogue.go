package logs

import "slices"

// Groups lists the messages of the levels warn and error, in the order of the page. Each subject has a file of its own.
func Groups() []Group {
	return slices.Concat(requests(), elsewhere(), users(), ownLogin(), hsms(), signingKeys(), auditLog(), operation())
}
