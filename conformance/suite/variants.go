package suite

import "maps"

// Axis is a parameter of a plan's variant with the values that are run. A value that is named differently in the plan's own name,
// or left out of it, has an entry in Names.
type Axis struct {
	Parameter string
	Values    []string
	Names     map[string]string
}

// Combination is one value of each axis, and the name that they make with a plus between them.
type Combination struct {
	Name    string
	Variant map[string]string
}

// Combine makes every combination of the axes' values.
func Combine(axes []Axis) []Combination {
	made := []Combination{{Variant: map[string]string{}}}
	for _, a := range axes {
		var longer []Combination
		for _, c := range made {
			for _, value := range a.Values {
				next := Combination{Name: c.Name, Variant: maps.Clone(c.Variant)}
				next.Variant[a.Parameter] = value
				shown, ok := a.Names[value]
				if !ok {
					shown = value
				}
				if shown != "" && next.Name != "" {
					shown = "+" + shown
				}
				next.Name += shown
				longer = append(longer, next)
			}
		}
		made = longer
	}
	return made
}
