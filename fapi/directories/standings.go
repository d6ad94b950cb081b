package directories

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"countersign/internal/strictjson"
)

// standings are what lists of a directory say, by identifier in lower case: identifiers are UUIDs or of one case each.
type standings struct {
	// Organisations and Softwares have the status as the directory writes it.
	Organisations map[string]string `json:"organisations"`
	Softwares     map[string]string `json:"softwares"`
	// Roles are those of participants that are listed and not active.
	Roles map[string][]string `json:"roles,omitempty"`
}

// key is an identifier for comparison.
func key(id string) string { return strings.ToLower(id) }

// maxEntries bounds a list, in items, with all of its pages.
const maxEntries = 200_000

var errTooMany = fmt.Errorf("it has more than %d entries", maxEntries)

// page is what one document of a list says.
type page struct {
	statuses map[string]string
	// roles has the statuses of the roles of each, in the order of the document.
	roles map[string][]roleStatus
	// items counts them all, total is how many the directory says there are.
	items, total int
}

// readList reads one document of a list.
func readList(list List, body []byte) (page, error) {
	array := json.RawMessage(body)
	read := page{statuses: map[string]string{}, roles: map[string][]roleStatus{}}
	if len(list.Items) > 0 {
		var whole map[string]json.RawMessage
		if err := strictjson.Decode(body, &whole); err != nil {
			return page{}, err
		}
		if list.Pages {
			_ = json.Unmarshal(whole["totalResults"], &read.total) // 0 when it is not said: one page
		}
		var ok bool
		if array, ok = member(body, list.Items); !ok {
			return page{}, fmt.Errorf("there is no %s in it", strings.Join(list.Items, "."))
		}
	}
	var items []json.RawMessage
	if err := strictjson.Decode(array, &items); err != nil {
		return page{}, err
	}
	switch {
	case items == nil:
		return page{}, errors.New("it is no array of entries")
	case len(items) > maxEntries:
		return page{}, errTooMany
	}
	read.items = len(items)
	for _, item := range items {
		id, hasID := text(item, list.ID)
		if !hasID || id == "" {
			return page{}, fmt.Errorf("an entry has no %s", strings.Join(list.ID, "."))
		}
		status, _ := text(item, list.Status)
		read.statuses[key(id)] = status
		if roles, ok := member(item, list.Roles); ok && len(list.Roles) > 0 {
			var each []roleStatus
			if json.Unmarshal(roles, &each) == nil { // or else nothing is known of them
				read.roles[key(id)] = each
			}
		}
	}
	return read, nil
}

// roleStatus is a role of a participant as a list has it.
type roleStatus struct {
	Role   string `json:"Role"`
	Status string `json:"Status"`
}

// lostRoles are the roles that are listed and nowhere as active. A role that is not listed, or with a status that means nothing, is as
// the statement said: who got it a moment ago can register before the list has it.
func (s Shape) lostRoles(roles []roleStatus) []string {
	var lost []string
	for _, one := range roles {
		c := s.classOf(one.Status)
		isActive := slices.ContainsFunc(roles, func(other roleStatus) bool { return other.Role == one.Role && s.classOf(other.Status) == active })
		if (c == suspended || c == removed) && !isActive && !slices.Contains(lost, one.Role) {
			lost = append(lost, one.Role)
		}
	}
	slices.Sort(lost)
	return lost
}

// member follows names of members.
func member(raw json.RawMessage, path []string) (json.RawMessage, bool) {
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return nil, false
		}
		var ok bool
		if raw, ok = object[name]; !ok {
			return nil, false
		}
	}
	return raw, true
}

func text(raw json.RawMessage, path []string) (value string, ok bool) {
	found, ok := member(raw, path)
	if !ok || json.Unmarshal(found, &value) != nil {
		return "", false
	}
	return value, true
}

// errShrunk refuses a list that lost more than half of what it had at once: rather a fault of the directory's than the end of
// an ecosystem.
var errShrunk = errors.New("it names less than half of what it named before: taken for a fault")

// merge returns what is known after a list was read: statuses that mean nothing here change nothing, and where lists need not
// be complete those who are not on it keep theirs.
func (s Shape) merge(before, listed map[string]string) (map[string]string, error) {
	if s.Complete && len(listed)*2 < len(before) {
		return nil, errShrunk
	}
	merged := map[string]string{}
	if !s.Complete {
		maps.Copy(merged, before)
	}
	for id, status := range listed {
		if s.classOf(status) != unknown {
			merged[id] = status
			continue
		}
		if former, ok := before[id]; ok {
			merged[id] = former
		} else if s.Complete {
			merged[id] = "" // it is there
		}
	}
	return merged, nil
}

// verdict is whether a client may be served.
type verdict struct {
	// reason is empty if it may; end says that what was granted to it ends.
	reason string
	end    bool
}

// judge says of a client whether it may be served.
func (s Shape) judge(directory string, known standings, organisation, software string) verdict {
	var worst verdict
	for _, each := range []struct {
		what, id string
		statuses map[string]string
	}{{"participant", organisation, known.Organisations}, {"software", software, known.Softwares}} {
		if each.statuses == nil || each.id == "" {
			continue // no such list, or no such identifier
		}
		status, listed := each.statuses[key(each.id)]
		switch c := s.classOf(status); {
		case !listed && s.Complete:
			worst.reason = fmt.Sprintf("the directory %s no longer lists the %s %s", directory, each.what, each.id)
		case c == removed:
			return verdict{fmt.Sprintf("the directory %s lists the %s %s as %s", directory, each.what, each.id, status), s.EndsGrants}
		case c == suspended:
			worst.reason = fmt.Sprintf("the directory %s lists the %s %s as %s", directory, each.what, each.id, status)
		}
	}
	return worst
}
