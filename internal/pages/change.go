package pages

import (
	"countersign/fapi/managed"
	"countersign/internal/words"
)

// changeView is what a request does to what the user allowed before (Grant Management for OAuth 2.0).
type changeView struct{ Added, Kept, Ended []string }

// viewChange puts a change into lines; nil for none.
func viewChange(l *words.Language, c *managed.Change) *changeView {
	if c == nil {
		return nil
	}
	return &changeView{Added: changeLines(l, c.Added), Kept: changeLines(l, c.Kept), Ended: changeLines(l, c.Ended)}
}

func changeLines(l *words.Language, p managed.Part) []string {
	var lines []string
	for _, detail := range p.Details {
		lines = append(lines, plain(managed.Line(detail), sentenceLimit))
	}
	for _, one := range viewScopes(l, p.Scopes) {
		line := one.Sentence
		if one.Parameter != "" {
			line += " " + one.Parameter
		}
		lines = append(lines, line)
	}
	return append(lines, viewClaims(l, p.Claims)...)
}
