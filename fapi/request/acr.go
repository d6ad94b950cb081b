package request

import "slices"

// ACRNames are further names of authentication context classes, by class: what an ecosystem calls them, such as
// "urn:openbanking:psd2:sca". A client asks by any of them, and is answered by the one that it asked by.
type ACRNames map[string][]string

// Supported returns every name of the classes, the best class first, each class's own name before the others.
func (n ACRNames) Supported(classes []string) []string {
	var all []string
	for _, class := range classes {
		all = append(append(all, class), n[class]...)
	}
	return all
}

// class returns the class that a name names: itself, unless it is a further name of one of classes.
func (n ACRNames) class(name string, classes []string) string {
	for _, class := range classes {
		if slices.Contains(n[class], name) {
			return class
		}
	}
	return name
}

// classes replaces further names by those of their classes, each class once. named are the further names.
func (c *Checker) classes(requested []string) (classes, named []string) {
	for _, name := range requested {
		class := c.names.class(name, c.acrs)
		if class != name {
			named = append(named, name)
		}
		if class == name || !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	return classes, named
}

// ACR returns the acr of a grant: the class that was reached, by the first of the further names that the client asked by
// ([Request].ACRNames) that is one of this class, else of a lesser one, else by its own name.
func (c *Checker) ACR(reached string, asked []string) string {
	rank := slices.Index(c.acrs, reached) // best first
	if rank < 0 {
		return reached
	}
	lesser := ""
	for _, name := range asked {
		switch at := slices.Index(c.acrs, c.names.class(name, c.acrs)); {
		case at == rank:
			return name
		case at > rank && lesser == "":
			lesser = name
		}
	}
	if lesser != "" {
		return lesser
	}
	return reached
}
