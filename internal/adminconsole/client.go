package adminconsole

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"countersign/internal/why"
	"countersign/store"
)

// clientTag is the state of a client.
func clientTag(c store.Client) tag {
	switch {
	case c.Disabled:
		return tag{"alarm", "Disabled"}
	case c.Suspended != "":
		return tag{"alarm", "Suspended"}
	}
	return tag{"ok", "Served"}
}

// nameOf is the name of a client, or nothing.
func nameOf(c store.Client) string {
	var metadata struct {
		Name string `json:"client_name"`
	}
	if json.Unmarshal(c.Metadata, &metadata) != nil {
		return "" // what is wrong with it is told when it is used
	}
	return metadata.Name
}

// clientFact names a client, and leads to it; one that is gone is named alone.
func (c *Console) clientFact(ctx context.Context, id string) (fact, error) {
	if id == "" {
		return fact{Label: "Client", Text: "None was recognised"}, nil
	}
	found, err := c.Store.Client(ctx, id)
	none, err := missing(err)
	switch {
	case err != nil:
		return fact{}, err
	case none:
		return fact{Label: "Client", Code: id, Hint: "It is not registered any more"}, nil
	}
	return fact{Label: "Client", Text: nameOf(found), Code: id, Link: link("client", "id", id)}, nil
}

// keyView is a key of a client.
type keyView struct {
	ID, Kind, Use string
	// Ends is when its certificate does, in words; Tag warns.
	Ends string
	Tag  tag
}

// clientView shows a client.
type clientView struct {
	Name, ID string
	Tag      tag
	// Suspended is why.
	Suspended string
	Facts     []fact
	Keys      []keyView
	KeysAt    string
	Metadata  []fact
	Refused   []row
	Consents  []row
	// MoreRefused and MoreConsents lead on.
	MoreRefused, MoreConsents string
}

// client shows a client.
func (c *Console) client(ctx context.Context, l look) (shown, error) {
	found, err := c.Store.Client(ctx, l.form.Get("id"))
	if err != nil {
		return shown{}, err
	}
	page, err := after(l.form.Get("consents"), rowsBeside, false)
	if err != nil {
		return shown{}, err
	}
	view := clientView{Name: nameOf(found), ID: found.ID, Tag: clientTag(found), Suspended: found.Suspended}
	grants, err := c.Store.ListGrants(ctx, store.Filter{ClientID: found.ID, Limit: counted + 1})
	if err != nil {
		return shown{}, err
	}
	view.Facts = clientFacts(found, countGrants(grants, l.now))
	view.Metadata = metadataFacts(found.Metadata)
	view.Keys, view.KeysAt = clientKeys(found.Metadata, l.now)
	recent, _, err := why.List(ctx, c.Store, why.Filter{ClientID: found.ID}, 0, rowsBeside)
	if err != nil {
		return shown{}, err
	}
	for _, one := range recent {
		view.Refused = append(view.Refused, refusalRow(one, l.now))
	}
	if len(recent) > 0 {
		view.MoreRefused = link("refusals", "client", found.ID)
	}
	var next string
	if view.Consents, next, err = c.consentRows(ctx, l, store.ConsentFilter{ClientID: found.ID}, page); err != nil {
		return shown{}, err
	}
	if next != "" {
		view.MoreConsents = link("client", "id", found.ID, "consents", next) + "#consents"
	}
	title := view.Name
	if title == "" {
		title = found.ID
	}
	return shown{page: "client", title: "Client " + title, query: found.ID, body: view}, nil
}

// countGrants says how many grants there are, and how many of them are valid.
func countGrants(grants []store.Grant, now time.Time) string {
	valid := 0
	for _, g := range grants {
		if grantTag(g, now).Tone == "ok" {
			valid++
		}
	}
	if len(grants) > counted {
		return fmt.Sprintf("More than %d; of the last %d, valid: %d", counted, counted, valid)
	}
	return fmt.Sprintf("%d, of which valid: %d", len(grants), valid)
}

func clientFacts(c store.Client, grants string) []fact {
	facts := []fact{
		{Label: "Client ID", Code: c.ID}, {Label: "Profile", Code: c.Profile},
		{Label: "Registered", At: c.CreatedAt}, {Label: "Changed", At: c.UpdatedAt, Hint: fmt.Sprint("Version ", c.Version)},
	}
	if c.Organisation != "" {
		facts = append(facts, fact{Label: "Organisation", Code: c.Organisation})
	}
	if d := c.Directory; d.Directory != "" {
		state := tag{"ok", "Active there"}
		if c.Suspended != "" {
			state = tag{"alarm", "Not active there"}
		}
		facts = append(facts, fact{Label: "Directory", Text: d.Directory, Tag: state}, fact{Label: "Participant", Code: d.Organisation}, fact{Label: "Software", Code: d.Software})
		if d.Subject != "" {
			facts = append(facts, fact{Label: "Registered by certificate", Code: d.Subject})
		}
	}
	return append(facts, fact{Label: "Grants", Text: grants}, fact{Label: "Evidence", Text: "Entries of the audit log of this client", Link: link("audit", "client", c.ID)})
}

// secret reports whether a member of metadata could hold a secret: the server stores none, whatever else is there is not shown.
func secret(member string) bool {
	return member == "client_secret" || member == "registration_access_token" || strings.Contains(member, "password")
}

// metadataFacts shows the metadata of a client, but for its keys.
func metadataFacts(metadata json.RawMessage) []fact {
	var members map[string]json.RawMessage
	if json.Unmarshal(metadata, &members) != nil {
		return nil
	}
	var facts []fact
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "jwks" || secret(name) {
			continue
		}
		facts = append(facts, fact{Label: name, Code: inWords(members[name])})
	}
	return facts
}

// inWords writes a value: a text as it is, a list of texts side by side, and anything else as JSON.
func inWords(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	return string(raw)
}

// mostKeys is how many keys of a client are shown.
const mostKeys = 50

// soon is from when on something warns that it ends.
const soon = 30 * 24 * time.Hour

// clientKeys shows the keys of a registration, or the address where they are.
func clientKeys(metadata json.RawMessage, now time.Time) (keys []keyView, address string) {
	var registered struct {
		URI  string `json:"jwks_uri"`
		Keys struct {
			Keys []struct {
				ID           string          `json:"kid"`
				Kind         string          `json:"kty"`
				Algorithm    string          `json:"alg"`
				Curve        string          `json:"crv"`
				Use          string          `json:"use"`
				Certificates json.RawMessage `json:"x5c"`
			} `json:"keys"`
		} `json:"jwks"`
	}
	if json.Unmarshal(metadata, &registered) != nil {
		return nil, ""
	}
	for _, k := range registered.Keys.Keys[:min(len(registered.Keys.Keys), mostKeys)] {
		one := keyView{ID: k.ID, Kind: strings.Join(strings.Fields(k.Kind+" "+k.Curve+" "+k.Algorithm), " "), Use: k.Use}
		var chain []string
		if json.Unmarshal(k.Certificates, &chain) == nil && len(chain) > 0 {
			one.Ends, one.Tag = certificateEnds(chain[0], now)
		}
		keys = append(keys, one)
	}
	return keys, registered.URI
}

// certificateEnds says when a certificate of x5c ends (RFC 7517 §4.7).
func certificateEnds(encoded string, now time.Time) (string, tag) {
	der, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", tag{"warn", "Its certificate cannot be read"}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return "", tag{"warn", "Its certificate cannot be read"}
	}
	return left(certificate.NotAfter, now), endsTag(certificate.NotAfter, now)
}

// endsTag warns of what ends soon, or has ended.
func endsTag(end, now time.Time) tag {
	switch {
	case !now.Before(end):
		return tag{"alarm", "Expired"}
	case end.Sub(now) < soon:
		return tag{"warn", "Ends soon"}
	}
	return tag{"ok", "Valid"}
}
