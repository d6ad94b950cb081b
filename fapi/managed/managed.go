// Package managed puts changes of grants that clients name (Grant Management for OAuth 2.0) into words for the user who decides.
package managed

import (
	"cmp"
	"strings"

	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/fapi/scope"
)

// Change is what a request does to a grant that the user has allowed before. All three parts are shown.
type Change struct {
	// Replaces reports that what is not asked for again ends.
	Replaces bool
	// Kept is what was allowed before, Added what was not, and Ended what will not be any more.
	Kept, Added, Ended Part
}

// Part is a part of what a grant allows.
type Part struct {
	Scopes []scope.Scope
	// Claims are the names of claims about the user that no scope includes.
	Claims  []string
	Details []display.View
}

// Lines are what it allows, one a line: the lines of details, the descriptions of scopes, and the names of claims.
func (p Part) Lines() []string {
	lines := []string{}
	for _, detail := range p.Details {
		lines = append(lines, Line(detail))
	}
	for _, one := range p.Scopes {
		lines = append(lines, strings.TrimSpace(cmp.Or(one.Description, one.Name)+" "+one.Parameter))
	}
	return append(lines, p.Claims...)
}

// Line is what an object of authorization_details is called in one line.
func Line(detail display.View) string {
	return cmp.Or(detail.Line.String(), detail.Heading.String(), detail.Type)
}

// Lines are a change in lines, as APIs write it, to be shown beside what is asked for.
type Lines struct {
	Added []string `json:"added"`
	Kept  []string `json:"kept"`
	Ended []string `json:"ended"`
}

// Lines returns the change in lines; nil for none. c may be nil.
func (c *Change) Lines() *Lines {
	if c == nil {
		return nil
	}
	return &Lines{Added: c.Added.Lines(), Kept: c.Kept.Lines(), Ended: c.Ended.Lines()}
}

// View puts a change into the words of a language, for asker; nil for none.
func View(c *request.Change, scopes *scope.Catalog, types *rar.Types, language string, asker display.Asker) (*Change, error) {
	if c == nil {
		return nil, nil
	}
	seen := &Change{Replaces: c.Replaces}
	for _, part := range []struct {
		of   request.Part
		into *Part
	}{{c.Kept, &seen.Kept}, {c.Added, &seen.Added}, {c.Ended, &seen.Ended}} {
		details, err := view(part.of.Details, types, language, asker)
		if err != nil {
			return nil, err
		}
		*part.into = Part{Scopes: scopes.LookupAll(part.of.Scopes), Claims: part.of.Claims, Details: details}
	}
	return seen, nil
}

// view shows objects; of one whose type is not there any more it shows the type.
func view(details rar.Details, types *rar.Types, language string, asker display.Asker) ([]display.View, error) {
	var views []display.View
	for _, object := range details {
		seen, err := (rar.Details{object}).View(types, language, asker)
		if err != nil {
			views = append(views, display.View{Type: rar.TypeOf(object), Language: language})
			continue
		}
		views = append(views, seen...)
	}
	return views, nil
}
