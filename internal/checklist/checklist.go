// Package checklist holds the requirements that the server is built against, one numbered item for each, and finds
// the tests of each. docs/conformance.md is generated from it, and a test of this package checks that the page is
// current.
//
// A test names its item in its own name, as in TestSP18AssertionAudience, TestRule07ForwardedHeaders or
// TestAttack09CodeReplay, or lists several in the first line of its comment or of a paragraph of it: "Covers: SP-29, BC-03, ATTACK-47."
// Its subtests begin with "accepts" where the server has to accept and with "refuses" where it has to refuse.
package checklist

import "slices"

// Item is one requirement.
type Item struct {
	// ID is the number by which tests and the page refer to the item, such as "SP-18".
	ID string
	// Section is the section of the group's document, or of another that is named.
	Section string
	// Requires is the requirement, in a line.
	Requires string
	// Later, if set, names the later part of the product that the item belongs to, and why.
	Later Later
	// NoRefusal, if set, is why there is nothing to refuse: then the item needs no subtest that refuses.
	NoRefusal string
	// NoTest, if set, is why no test can cover the item, and what does.
	NoTest string
}

// Later is why an item is not required yet; the zero value if it is.
type Later struct {
	// Part names the later part of the product.
	Part string
	// Why is what is missing until then.
	Why string
}

// Group is the items of one document.
type Group struct {
	// Code begins the numbers of the group's items.
	Code string
	// Title names the document.
	Title string
	Items []Item
}

// Groups lists everything, in the order of the page.
func Groups() []Group {
	return slices.Concat(securityProfile(), foundations(), openID(), transport(), rules(), attacks(), field(), people(), brand(),
		display(), audited(), account(), handedOff(), presets(), ecosystemClaims(), consents(), directories(), pipelined(),
		resourceServers(), relyingParty(), customersLeft(), relyingPartyWeb(), relyingPartyPlans(), ecosystemsRest(), upstreamLogins(),
		measured(), administered(), consoled(), severalIssuers(), reloaded(), releases(), deployed(), checked(), administeredRest(),
		issuersMeasured(), firstNight(), relyingPartyPeers())
}

// Items lists the items of all groups.
func Items() []Item {
	var all []Item
	for _, group := range Groups() {
		all = append(all, group.Items...)
	}
	return all
}

// Demanded reports whether the item needs a test now.
func (i Item) Demanded() bool { return i.Later == Later{} && i.NoTest == "" }

// resourceMetadata is a later part of the product.
const resourceMetadata = "resource servers"
