// Package checklist holds the requirements that the server is built against, one numbered item for each, and finds
// the tests that show each of them. docs/conformance.md is made from it, and a test of this package keeps that page
// true.
//
// A test names its item in its own name, as in TestSP18AssertionAudience, TestRule07ForwardedHeaders or
// TestAttack09CodeReplay, or lists several in the first line of its comment: "Covers: SP-29, BC-03, ATTACK-47."
// Its subtests begin with "accepts" where the server has to go on and with "refuses" where it has to stop.
package checklist

import "slices"

// Item is one requirement.
type Item struct {
	// ID is the number by which tests and the page refer to the item, such as "SP-18".
	ID string
	// Section is where the group's document, or another that is named, says so.
	Section string
	// Requires says in a line what has to be so.
	Requires string
	// Later, if set, says with which later part of the product the item comes, and why not now.
	Later Later
	// NoRefusal, if set, says why there is nothing to refuse: then the item needs no subtest that refuses.
	NoRefusal string
	// NoTest, if set, says why no test can show the item, and where it is taken care of.
	NoTest string
}

// Later is why an item is not demanded yet. The zero value says that it is.
type Later struct {
	// Part names the later part of the product.
	Part string
	// Why says what is missing until then.
	Why string
}

// Group is a set of items that one document asks for.
type Group struct {
	// Code begins the numbers of the group's items.
	Code string
	// Title names the document.
	Title string
	Items []Item
}

// Groups lists everything, in the order of the page.
func Groups() []Group {
	return slices.Concat(securityProfile(), foundations(), openID(), transport(), rules(), attacks(), field())
}

// Items lists the items of all groups.
func Items() []Item {
	var all []Item
	for _, group := range Groups() {
		all = append(all, group.Items...)
	}
	return all
}

// Demanded tells whether a test has to show the item now.
func (i Item) Demanded() bool { return i.Later == Later{} && i.NoTest == "" }

// The later parts of the product.
const (
	fapi1             = "FAPI 1.0"
	grantManagement   = "grant management"
	logout            = "logout"
	resourceMetadata  = "resource servers"
	softwareStatement = "software statements"
	cluster           = "several nodes"
	ecosystem         = "ecosystems"
)
