package directories

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func shape(t *testing.T, name string) Shape {
	t.Helper()
	s, ok := ShapeOf(name)
	if !ok {
		t.Fatalf("there is no shape %s", name)
	}
	return s
}

// Covers: LD-21. Lists are read as their directories publish them, and what is no list is refused.
func TestLD21Lists(t *testing.T) {
	uk, brazil, cdr := shape(t, "uk").Lists[0], shape(t, "brazil").Lists[0], shape(t, "cdr").Lists
	for name, test := range map[string]struct {
		list List
		body string
		want map[string]string // nil refuses it
	}{
		"accepts the United Kingdom's": {uk, `{"totalResults":2,"Resources":[
			{"id":"x","urn:openbanking:organisation:1.0":{"OBOrganisationId":"0015800001HQQrZAAX","status":"Active","more":[]}},
			{"urn:openbanking:organisation:1.0":{"OBOrganisationId":"B","status":"Revoked"}}]}`, map[string]string{"0015800001hqqrzaax": "Active", "b": "Revoked"}},
		"accepts Brazil's":                             {brazil, `[{"OrganisationId":"a","Status":"Active","AuthorisationServers":[{}]},{"OrganisationId":"b","Status":"Withdrawn"}]`, map[string]string{"a": "Active", "b": "Withdrawn"}},
		"accepts Australia's":                          {cdr[0], `{"data":[{"legalEntityId":"A","status":"SUSPENDED"}],"meta":{}}`, map[string]string{"a": "SUSPENDED"}},
		"accepts its software's":                       {cdr[1], `{"data":[{"softwareProductId":"A","status":"REMOVED"}]}`, map[string]string{"a": "REMOVED"}},
		"accepts an empty one":                         {brazil, `[]`, map[string]string{}},
		"accepts one status of a type that it has not": {brazil, `[{"OrganisationId":"a","Status":7}]`, map[string]string{"a": ""}},
		"refuses another document":                     {brazil, `{"error":"away"}`, nil},
		"refuses a page of a web site":                 {brazil, `<html>`, nil},
		"refuses nothing":                              {brazil, ``, nil},
		"refuses null":                                 {brazil, `null`, nil},
		"refuses an entry without an identifier":       {brazil, `[{"Status":"Active"}]`, nil},
		"refuses an entry that is none":                {brazil, `[7]`, nil},
		"refuses a list without its array":             {cdr[0], `{"meta":{}}`, nil},
		"refuses members that repeat":                  {brazil, `[{"OrganisationId":"a","OrganisationId":"b","Status":"Active"}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readList(test.list, []byte(test.body))
			if test.want == nil {
				if err == nil {
					t.Errorf("read as %v", got)
				}
				return
			}
			if err != nil || !cmp.Equal(got.statuses, test.want) {
				t.Errorf("%v, %v", got.statuses, err)
			}
		})
	}
}

// Covers: LD-21. What a list does not say stays as it was where the ecosystem says so, and a list that lost most of what it had
// is a fault.
func TestLD21Merge(t *testing.T) {
	before := map[string]string{"a": "Active", "b": "Withdrawn", "c": "Active", "d": "Active"}
	for name, test := range map[string]struct {
		shape        string
		listed, want map[string]string
		err          error
	}{
		"accepts a change":                        {"brazil", map[string]string{"a": "Withdrawn", "b": "Active", "c": "Active"}, map[string]string{"a": "Withdrawn", "b": "Active", "c": "Active"}, nil},
		"accepts no status that it does not know": {"brazil", map[string]string{"a": "?", "b": "", "e": "?"}, map[string]string{"a": "Active", "b": "Withdrawn", "e": ""}, nil},
		"refuses a list of less than half":        {"brazil", map[string]string{"a": "Active"}, nil, errShrunk},
		"refuses an empty list":                   {"uk", map[string]string{}, nil, errShrunk},
		"accepts an empty list as nothing new":    {"cdr", map[string]string{}, before, nil},
		"accepts a part as that":                  {"cdr", map[string]string{"a": "REMOVED"}, map[string]string{"a": "REMOVED", "b": "Withdrawn", "c": "Active", "d": "Active"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := shape(t, test.shape).merge(before, test.listed)
			if !errors.Is(err, test.err) || !cmp.Equal(got, test.want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// Covers: LD-18, LD-20. Whether a client is served, by what each kind of directory says.
func TestLD18Judge(t *testing.T) {
	for name, test := range map[string]struct {
		shape                  string
		organisation, software string // statuses; "-" is not listed
		why                    string
		end                    bool
	}{
		"accepts who is active in the United Kingdom":   {"uk", "Active", "-", "", false},
		"refuses who has withdrawn there":               {"uk", "Withdrawn", "-", "as Withdrawn", false},
		"refuses who was revoked there":                 {"uk", "Revoked", "-", "as Revoked", false},
		"refuses who is not listed there":               {"uk", "-", "-", "no longer lists", false},
		"accepts who is active in Brazil":               {"brazil", "ACTIVE", "-", "", false},
		"refuses who has withdrawn in Brazil":           {"brazil", "Withdrawn", "-", "as Withdrawn", false},
		"refuses who is not listed in Brazil":           {"brazil", "-", "-", "no longer lists", false},
		"accepts who is active in Australia":            {"cdr", "ACTIVE", "ACTIVE", "", false},
		"accepts who is not listed in Australia":        {"cdr", "-", "-", "", false},
		"refuses inactive software":                     {"cdr", "ACTIVE", "INACTIVE", "the software s as INACTIVE", false},
		"refuses removed software, for good":            {"cdr", "ACTIVE", "REMOVED", "the software s as REMOVED", true},
		"refuses software of who is suspended":          {"cdr", "SUSPENDED", "ACTIVE", "the participant o as SUSPENDED", false},
		"refuses who surrendered, for good":             {"cdr", "SURRENDERED", "INACTIVE", "the participant o as SURRENDERED", true},
		"refuses who was revoked there, for good":       {"cdr", "REVOKED", "ACTIVE", "the participant o as REVOKED", true},
		"refuses removed software of who is suspended ": {"cdr", "SUSPENDED", "REMOVED", "the software s as REMOVED", true},
	} {
		t.Run(name, func(t *testing.T) {
			known := standings{Organisations: map[string]string{}}
			if test.organisation != "-" {
				known.Organisations["o"] = test.organisation
			}
			if test.shape == "cdr" {
				known.Softwares = map[string]string{}
			}
			if test.software != "-" {
				known.Softwares["s"] = test.software
			}
			got := shape(t, test.shape).judge("example", known, "O", "S")
			why := strings.NewReplacer("participant O", "participant o", "software S", "software s").Replace(got.reason)
			if got.end != test.end || !strings.Contains(why, test.why) || (test.why == "") != (got.reason == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}
