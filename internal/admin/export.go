package admin

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"countersign/store"
)

// userData is what an export of a user holds. Names are those of the protocols where they have one.
type userData struct {
	Subject    string    `json:"sub"`
	ExportedAt time.Time `json:"exported_at"`

	Username  string          `json:"username,omitempty"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Disabled  bool            `json:"disabled,omitempty"`
	CreatedAt *time.Time      `json:"created_at,omitempty"`
	UpdatedAt *time.Time      `json:"updated_at,omitempty"`
	ErasedAt  *time.Time      `json:"erased_at,omitempty"`

	Sessions      []sessionData      `json:"sessions"`
	Consents      []consentData      `json:"consents"`
	Grants        []grantData        `json:"grants"`
	Passkeys      []passkeyData      `json:"passkeys"`
	Devices       []deviceData       `json:"devices"`
	Enrolments    []enrolmentData    `json:"enrolments"`
	Subscriptions []subscriptionData `json:"push_subscriptions"`
	Backchannel   []backchannelData  `json:"backchannel_requests"`
	Standings     []standingData     `json:"backchannel_standings"`
	Browsers      []browserData      `json:"known_browsers"`
	Lodged        []ListedLodged     `json:"lodged_consents"`
}

type browserData struct {
	Agent     string    `json:"agent,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"last_signed_in_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type sessionData struct {
	AuthTime  time.Time `json:"auth_time"`
	ACR       string    `json:"acr,omitempty"`
	AMR       []string  `json:"amr,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

type consentData struct {
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes,omitempty"`
	Claims    []string  `json:"claims,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type grantData struct {
	ID        string          `json:"id"`
	ClientID  string          `json:"client_id"`
	Scopes    []string        `json:"scopes,omitempty"`
	Detail    json.RawMessage `json:"detail,omitempty"`
	AuthTime  *time.Time      `json:"auth_time,omitempty"`
	ACR       string          `json:"acr,omitempty"`
	AMR       []string        `json:"amr,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	ExpiresAt time.Time       `json:"expires_at"`
	RevokedAt *time.Time      `json:"revoked_at,omitempty"`
}

type passkeyData struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	PublicKey string     `json:"public_key"`
	AAGUID    string     `json:"aaguid"`
	Synced    bool       `json:"synced"`
	SignCount uint32     `json:"sign_count"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at,omitempty"`
	ClonedAt  *time.Time `json:"cloned_at,omitempty"`
}

type deviceData struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	JKT       string     `json:"jkt"`
	ACR       string     `json:"enrolled_acr,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at,omitempty"`
	KeptAt    *time.Time `json:"kept_at,omitempty"`
}

type enrolmentData struct {
	ACR       string    `json:"enrolled_acr,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type subscriptionData struct {
	Endpoint  string    `json:"endpoint"`
	CreatedAt time.Time `json:"created_at"`
}

type backchannelData struct {
	ClientID   string          `json:"client_id"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	ExpiresAt  time.Time       `json:"expires_at"`
	DecidedAt  *time.Time      `json:"decided_at,omitempty"`
	GrantID    string          `json:"grant_id,omitempty"`
	Device     string          `json:"device,omitempty"`
}

type standingData struct {
	Organisation string     `json:"organisation"`
	ClientID     string     `json:"client_id"`
	Denials      int        `json:"denials"`
	DeniedAt     *time.Time `json:"denied_at,omitempty"`
	BlockedAt    *time.Time `json:"blocked_at,omitempty"`
}

// exported gives a user's records their names in the export.
func exported(subject string, p store.UserData, now time.Time) userData {
	data := userData{
		Subject: subject, ExportedAt: now.UTC().Truncate(time.Second), Username: p.User.Username, Claims: p.User.Claims, Disabled: p.User.Disabled,
		CreatedAt: orNone(p.User.CreatedAt), UpdatedAt: orNone(p.User.UpdatedAt), ErasedAt: orNone(p.User.ErasedAt),
		Sessions: []sessionData{}, Consents: []consentData{}, Grants: []grantData{}, Passkeys: []passkeyData{}, Devices: []deviceData{},
		Enrolments: []enrolmentData{}, Subscriptions: []subscriptionData{}, Backchannel: []backchannelData{}, Standings: []standingData{}, Browsers: []browserData{},
		Lodged: []ListedLodged{},
	}
	for _, s := range p.Sessions {
		data.Sessions = append(data.Sessions, sessionData{s.AuthTime, s.ACR, s.AMR, s.ExpiresAt})
	}
	for _, c := range p.Consents {
		data.Consents = append(data.Consents, consentData{c.ClientID, c.Scopes, c.Claims, c.CreatedAt, c.ExpiresAt})
	}
	for _, g := range p.Grants {
		data.Grants = append(data.Grants, grantData{g.ID, g.ClientID, g.Scopes, g.Detail, orNone(g.AuthTime), g.ACR, g.AMR,
			g.CreatedAt, g.ExpiresAt, orNone(g.RevokedAt)})
	}
	for _, k := range p.Passkeys {
		data.Passkeys = append(data.Passkeys, passkeyData{base64.RawURLEncoding.EncodeToString(k.ID), k.Name,
			base64.RawURLEncoding.EncodeToString(k.PublicKey), base64.RawURLEncoding.EncodeToString(k.AAGUID), k.Synced, k.SignCount,
			k.CreatedAt, orNone(k.UsedAt), orNone(k.ClonedAt)})
	}
	for _, d := range p.Devices {
		data.Devices = append(data.Devices, deviceData{d.ID, d.Name, d.JKT, d.ACR, d.CreatedAt, orNone(d.UsedAt), orNone(d.KeptAt)})
	}
	for _, e := range p.Enrolments {
		data.Enrolments = append(data.Enrolments, enrolmentData{e.ACR, e.CreatedAt, e.ExpiresAt})
	}
	for _, s := range p.Subscriptions {
		data.Subscriptions = append(data.Subscriptions, subscriptionData{s.Endpoint, s.CreatedAt})
	}
	for _, b := range p.Backchannel {
		data.Backchannel = append(data.Backchannel, backchannelData{b.ClientID, b.Parameters, b.CreatedAt, b.ExpiresAt, orNone(b.DecidedAt), b.GrantID, b.Device})
	}
	for _, s := range p.Standings {
		data.Standings = append(data.Standings, standingData{s.Organisation, s.ClientID, s.Denials, orNone(s.DeniedAt), orNone(s.BlockedAt)})
	}
	for _, b := range p.Browsers {
		data.Browsers = append(data.Browsers, browserData{b.Agent, b.CreatedAt, b.UsedAt, b.ExpiresAt})
	}
	for _, c := range p.Lodged {
		data.Lodged = append(data.Lodged, Lodged(c))
	}
	return data
}

// orNone is nil for a time that is not set.
func orNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
