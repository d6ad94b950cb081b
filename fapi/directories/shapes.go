package directories

import (
	"slices"
	"strings"
	"time"
)

// Shape is how a kind of directory publishes who takes part, as data.
type Shape struct {
	// Name is that of the kind in the configuration.
	Name string
	// Organisation and Software are the members of a statement with the identifiers of the participant and of its software;
	// OrganisationStatus, if it has one, is the one with the participant's status.
	Organisation, Software, OrganisationStatus string
	// Lists are the documents below the participants' address.
	Lists []List
	// Header is sent for them.
	Header map[string]string
	// Active, Suspended and Removed are the statuses, in lower case. Others are ignored: what was known before stays.
	Active, Suspended, Removed []string
	// Complete says that the lists name everybody: who is not on them is removed.
	Complete bool
	// EndsGrants ends, for good, what was granted to clients of who is removed.
	EndsGrants bool
	// React is within which time after a change clients have to be refused, or 0.
	React time.Duration
}

// List is a document with statuses.
type List struct {
	// Path is put behind the participants' address.
	Path string
	// Software says that the list is of software, not of participants.
	Software bool
	// Items leads to the array, by names of members; none when the document is the array.
	Items []string
	// ID and Status lead to the members of an item.
	ID, Status []string
	// Roles leads to an array of the item's roles, each with members Role and Status; none where the list has none.
	Roles []string
	// Pages has the list in pages (RFC 7644 §3.4.2.4: startIndex, totalResults).
	Pages bool
}

// Shapes are the kinds of directories that are known.
func Shapes() []Shape {
	return []Shape{
		{
			// Open Banking Limited: OpenBankingUK/directory-api-specs, scim-swagger.yml (OBThirdPartyProviders, AuthorisationDomainStatus)
			// and directory-api-swagger.yaml (software-statement-assertion: org_id, org_status, software_id); d4f2f93, read 2026-11-30.
			Name: "uk", Organisation: "org_id", Software: "software_id", OrganisationStatus: "org_status",
			Lists: []List{{
				Path: "/OBThirdPartyProviders", Items: []string{"Resources"}, Pages: true,
				ID:     []string{"urn:openbanking:organisation:1.0", "OBOrganisationId"},
				Status: []string{"urn:openbanking:organisation:1.0", "status"},
			}},
			Active: []string{"active"}, Suspended: []string{"withdrawn", "revoked", "requested", "rejected"}, Complete: true,
		},
		{
			// Open Finance Brasil and Open Insurance Brasil, and other directories of the same software: OpenBanking-Brasil/specs-directory,
			// swagger_participants.yaml (GET /participants); DCR 1.0 Implementers Draft 3, clause 8.1, for the statement; read 2026-11-30.
			Name: "brazil", Organisation: "org_id", Software: "software_id", OrganisationStatus: "org_status",
			Lists:  []List{{Path: "/participants", ID: []string{"OrganisationId"}, Status: []string{"Status"}, Roles: []string{"OrgDomainRoleClaims"}}},
			Active: []string{"active"}, Suspended: []string{"pending", "inactive", "suspended"}, Removed: []string{"withdrawn"}, Complete: true,
		},
		{
			// Consumer Data Right: ConsumerDataStandardsAustralia/standards, security/_participant_statuses.md ("Data Holder
			// Responsibilities", "Metadata Cache Management": 5 minutes; who is not listed keeps the former status) and the Register APIs
			// GetDataRecipientsStatus and GetSoftwareProductsStatus; read 2026-11-30.
			Name: "cdr", Organisation: "legal_entity_id", Software: "software_id",
			Lists: []List{
				{Path: "/data-recipients/status", Items: []string{"data"}, ID: []string{"legalEntityId"}, Status: []string{"status"}},
				{
					Path: "/data-recipients/brands/software-products/status", Software: true, Items: []string{"data"},
					ID: []string{"softwareProductId"}, Status: []string{"status"},
				},
			},
			Header: map[string]string{"X-V": "2"},
			Active: []string{"active"}, Suspended: []string{"suspended", "inactive"}, Removed: []string{"revoked", "surrendered", "removed"},
			EndsGrants: true, React: 5 * time.Minute,
		},
	}
}

// ShapeOf returns a shape by its name.
func ShapeOf(name string) (Shape, bool) {
	shapes := Shapes()
	at := slices.IndexFunc(shapes, func(s Shape) bool { return s.Name == name })
	if at < 0 {
		return Shape{}, false
	}
	return shapes[at], true
}

// ShapeNames are the names of all shapes.
func ShapeNames() []string {
	var names []string
	for _, shape := range Shapes() {
		names = append(names, shape.Name)
	}
	return names
}

// class is what a status means.
type class int

const (
	unknown class = iota
	active
	suspended
	removed
)

// classOf returns what a status means.
func (s Shape) classOf(status string) class {
	status = strings.ToLower(status)
	switch {
	case slices.Contains(s.Active, status):
		return active
	case slices.Contains(s.Suspended, status):
		return suspended
	case slices.Contains(s.Removed, status):
		return removed
	}
	return unknown
}
