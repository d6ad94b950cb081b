package arch

import (
	"go/types"
	"strings"
	"testing"
)

// TestStates: the picture of the states knows just the verbs that there are.
func TestStates(t *testing.T) {
	checked := typedModule(t).checked["countersign/store"]
	verbs := map[string]bool{}
	methods := func(group string) []string {
		var names []string
		for method := range checked.Scope().Lookup(group).Type().Underlying().(*types.Interface).Methods() {
			names = append(names, method.Name())
		}
		return names
	}
	for _, verb := range methods("Store") {
		verbs[verb] = true
	}
	said := map[string]bool{}
	for _, lane := range Lanes() {
		for _, step := range lane.Steps {
			for _, verb := range step.Verbs {
				said[verb] = true
				if !verbs[verb] {
					t.Errorf("%s: store.Store has no verb %s", lane.Record, verb)
				}
			}
		}
		for _, word := range strings.FieldsFunc(lane.Back+" "+lane.Notes, func(r rune) bool { return r == ' ' || r == ',' || r == '.' }) {
			said[word] = true
		}
	}
	for _, group := range []string{"Requests", "Grants", "Backchannel"} {
		for _, verb := range methods(group) {
			if !said[verb] {
				t.Errorf("the picture of the states does not know %s of store.%s", verb, group)
			}
		}
	}
}
