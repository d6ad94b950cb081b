package request

import (
	"maps"
	"slices"

	"countersign/fapi/client"
)

// ACRNames are further names of authentication context classes, by class: what an ecosystem calls them, such as
// "urn:openbanking:psd2:sca". A client asks by any of them, and is answered by one that it asked by. A name can be one of
// several classes: each of them satisfies it.
type ACRNames map[string][]string

// Supported returns every name of the classes, the best class first, each class's own name before the others.
func (n ACRNames) Supported(classes []string) []string {
	var all []string
	for _, class := range classes {
		for _, name := range append([]string{class}, n[class]...) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// With returns the names of both, those of n first.
func (n ACRNames) With(more map[string][]string) ACRNames {
	if len(more) == 0 {
		return n
	}
	both := maps.Clone(n)
	if both == nil {
		both = ACRNames{}
	}
	for class, names := range more {
		both[class] = append(slices.Clone(both[class]), names...)
	}
	return both
}

// of returns those of the classes, best first, that a further name names; none for other names.
func (n ACRNames) of(name string, classes []string) []string {
	var named []string
	for _, class := range classes {
		if slices.Contains(n[class], name) {
			named = append(named, class)
		}
	}
	return named
}

// resolve replaces further names by those of their classes, each class once. named are the further names, and the classes' own
// that were asked by.
func (n ACRNames) resolve(requested, known []string) (classes, named []string) {
	for _, name := range requested {
		of := n.of(name, known)
		if len(of) == 0 {
			classes = append(classes, name)
			if slices.Contains(known, name) {
				named = append(named, name)
			}
			continue
		}
		named = append(named, name)
		for _, class := range of {
			if !slices.Contains(classes, class) {
				classes = append(classes, class)
			}
		}
	}
	return classes, named
}

// name returns what a class that was reached is called for a client that asked by these names: the first of them
// that is this class's and no lesser one's, or its own, else the first that is this class's too, else that of a lesser one; or "".
func (n ACRNames) name(reached string, asked, known []string) string {
	rank := slices.Index(known, reached) // best first
	if rank < 0 {
		return ""
	}
	shared, lesser := "", ""
	for _, name := range asked {
		of := n.of(name, known)
		switch {
		case name == reached:
			return name
		case len(of) == 0:
		case of[len(of)-1] == reached:
			return name
		case shared == "" && slices.Contains(of, reached):
			shared = name
		case lesser == "" && slices.Index(known, of[0]) > rank:
			lesser = name
		}
	}
	if shared != "" {
		return shared
	}
	return lesser
}

// namesFor are the names by which a client asks for classes: those of the server, and those of its profile.
func (c *Checker) namesFor(caller *client.Client) ACRNames {
	return c.names.With(caller.Profile.ACRNames)
}

// ACR returns the acr of a grant: what the class that was reached is called among the names that the client asked
// by ([Request].ACRNames), else the first name that the client's profile has for it, else its own name.
func (c *Checker) ACR(caller *client.Client, reached string, asked []string) string {
	if name := c.namesFor(caller).name(reached, asked, c.acrs); name != "" {
		return name
	}
	if names := caller.Profile.ACRNames[reached]; len(names) > 0 && slices.Contains(c.acrs, reached) {
		return names[0]
	}
	return reached
}
