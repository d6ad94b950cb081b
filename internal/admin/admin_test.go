package admin_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/admin"
	"countersign/internal/audit"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/store"
	"countersign/store/sqlite"
)

const bank = `{
	"client_name": "Bank", "redirect_uris": ["https://app.example/callback"], "scope": "openid accounts",
	"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
	"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "kid": "first",
		"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}
}`

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func newAdmin(t *testing.T) *admin.Admin {
	t.Helper()
	clock := func() time.Time { return now }
	settings := sqlite.Config{File: filepath.Join(t.TempDir(), "test.db"), Now: clock}
	if _, err := sqlite.Migrate(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &admin.Admin{Store: admin.Audited(s, clock, "operator@test"), Now: clock}
}

// refused expects an error with a text, that is a problem of the operator's file or not.
func refused(t *testing.T, err error, want string, inFile bool) {
	t.Helper()
	_, is := errors.AsType[*admin.InputError](err)
	if err == nil || !strings.Contains(err.Error(), want) || is != inFile {
		t.Errorf("%v (of the file: %v), want %q (%v)", err, is, want, inFile)
	}
}

// events are the events of the audit log, in the order in which they were recorded.
func events(t *testing.T, a *admin.Admin) []map[string]string {
	t.Helper()
	evidence, err := a.Store.WaitingEvidence(t.Context(), "", now.Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, e := range evidence {
		var event audit.Event
		if err := json.Unmarshal(e.Body, &event); err != nil {
			t.Fatal(err)
		}
		if event.Detail["by"] != "operator@test" {
			t.Errorf("by %q", event.Detail["by"])
		}
		all = append(all, event.Detail)
	}
	return all
}

func TestClients(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	add := func(metadata string, replace bool, stores ...string) (store.Client, error) {
		return a.AddClient(ctx, admin.NewClient{ID: "app", Metadata: []byte(metadata), Replace: replace, TrustStores: stores})
	}
	made, err := add(bank, false)
	if err != nil || made.Version != 1 || made.Profile != admin.DefaultProfile {
		t.Fatalf("%+v, %v", made, err)
	}
	_, err = add(bank, false)
	refused(t, err, "give --replace to change it", false)
	if changed, err := a.SetClientDisabled(ctx, "app", true); !changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
	if changed, err := a.SetClientDisabled(ctx, "app", true); changed || err != nil {
		t.Errorf("a second time: %v, %v", changed, err)
	}
	if made, err = add(bank, true); err != nil || made.Version != 3 || !made.Disabled || !made.CreatedAt.Equal(now) {
		t.Errorf("replaced: %+v, %v", made, err)
	}
	_, err = a.SetClientDisabled(ctx, "nobody", true)
	refused(t, err, `there is no client "nobody"`, false)
	for _, test := range []struct{ name, from, to, want string }{
		{"plain http", "https://app", "http://app", "is not https"},
		{"another client", `"client_name"`, `"client_id": "other", "client_name"`, "is not the client that is named"},
		{"another profile", `"client_name"`, `"profile": "fapi3", "client_name"`, `there is no profile fapi3`},
		{"no JSON", `{`, ``, ""},
	} {
		_, err := add(strings.Replace(bank, test.from, test.to, 1), true)
		refused(t, err, test.want, true)
	}
	certificate := `{"client_name": "Bank", "grant_types": ["client_credentials"], "response_types": [], "scope": "accounts",
		"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=bank", "tls_client_auth_trust_store": "bank",
		"tls_client_certificate_bound_access_tokens": true}`
	_, err = add(certificate, true, "insurance")
	refused(t, err, `there is no trust store "bank"`, true)
	if _, err := add(certificate, true, "insurance", "bank"); err != nil {
		t.Error(err)
	}
	if got := events(t, a); len(got) != 4 || got[0]["event"] != "client_put" || got[1]["disabled"] != "true" || got[3]["version"] != "4" {
		t.Errorf("the audit log: %v", got)
	}
	summary, err := admin.Summarise("app", admin.DefaultProfile, []byte(certificate))
	if err != nil || summary != (admin.Summary{Name: "Bank", Authentication: "tls_client_auth", BoundBy: "mtls"}) {
		t.Errorf("%+v, %v", summary, err)
	}
}

func TestRotateClientKeys(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	if _, err := a.AddClient(ctx, admin.NewClient{ID: "app", Metadata: []byte(bank)}); err != nil {
		t.Fatal(err)
	}
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set := `{"keys": [` + string(key.PublicJWK()) + `]}`
	for _, step := range []struct {
		add  bool
		want int
	}{{true, 2}, {true, 0}, {false, 3}} {
		if got, err := a.RotateClientKeys(ctx, "app", []byte(set), step.add); got != step.want || err != nil {
			t.Errorf("version %d, want %d (%v)", got, step.want, err)
		}
	}
	record, err := a.Client(ctx, "app")
	if err != nil || strings.Contains(string(record.Metadata), `"first"`) || !strings.Contains(string(record.Metadata), `"Bank"`) {
		t.Errorf("%s, %v", record.Metadata, err)
	}
	_, err = a.RotateClientKeys(ctx, "app", []byte(`{"keys": []}`), false)
	refused(t, err, "there is no key in it", true)
	_, err = a.RotateClientKeys(ctx, "app", []byte(`{"keys": [`+string(key.PrivateJWK())+`]}`), false)
	refused(t, err, "", true)
	_, err = a.RotateClientKeys(ctx, "nobody", []byte(set), false)
	refused(t, err, "there is no client", false)
}

func TestInitialTokens(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	wanted := admin.NewInitialToken{Organisation: "Example Bank", Clients: 2, Lifetime: time.Hour}
	token, made, err := a.AddInitialToken(ctx, wanted)
	if err != nil || len(token) != 52 || made.ID != store.DigestOf(token) || !made.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Fatalf("%q %+v, %v", token, made, err)
	}
	_, _, err = a.AddInitialToken(ctx, wanted)
	refused(t, err, "has an initial access token already", false)
	wanted.Replace = true
	if again, _, err := a.AddInitialToken(ctx, wanted); err != nil || again == token {
		t.Errorf("%q, %v", again, err)
	}
	for want, spoil := range map[string]func(*admin.NewInitialToken){
		"the organisation must have 1 to 200 bytes": func(n *admin.NewInitialToken) { n.Organisation = "" },
		"names that begin with x509: belong to":     func(n *admin.NewInitialToken) { n.Organisation = "x509:CN=Bank" },
		`--profile: there is no profile fapi3`:      func(n *admin.NewInitialToken) { n.Profile = "fapi3" },
		"--clients must be 1 to 10000":              func(n *admin.NewInitialToken) { n.Clients = 10_001 },
		"--for must be 1m to 8760h":                 func(n *admin.NewInitialToken) { n.Lifetime = time.Second },
	} {
		spoiled := wanted
		spoil(&spoiled)
		_, _, err := a.AddInitialToken(ctx, spoiled)
		refused(t, err, want, false)
	}
	for _, test := range []struct {
		remaining int
		at        time.Time
		want      string
	}{{2, now, "usable"}, {0, now, "used up"}, {2, now.Add(time.Hour), "expired"}} {
		made.Remaining = test.remaining
		if got := admin.InitialTokenState(made, test.at); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if err := a.DeleteInitialToken(ctx, "Example Bank"); err != nil {
		t.Error(err)
	}
	refused(t, a.DeleteInitialToken(ctx, "Example Bank"), "has no initial access token", false)
}

func TestUsers(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	asked := 0
	password := func(text string) func() ([]byte, error) {
		return func() ([]byte, error) {
			asked++
			return []byte(text), nil
		}
	}
	good := password("correct horse battery staple")
	claims, err := admin.Claims([]byte(`{"birthdate": "1980-01-01", "name": "A"}`), "Alice", "alice@example.com")
	if err != nil || string(claims) != `{"birthdate":"1980-01-01","email":"alice@example.com","name":"Alice"}` {
		t.Fatalf("%s, %v", claims, err)
	}
	_, err = admin.Claims([]byte(`{"sub": "x"}`), "", "")
	refused(t, err, "sub is not a claim of the file", true)
	_, err = admin.Claims([]byte(`[]`), "", "")
	refused(t, err, "not a JSON object of claims", true)

	user, err := a.AddUser(ctx, admin.NewUser{Username: "alice", Subject: "alice-1", Claims: claims}, good)
	if err != nil || user.Subject != "alice-1" {
		t.Fatalf("%+v, %v", user, err)
	}
	if random, err := a.AddUser(ctx, admin.NewUser{Username: "bob"}, good); err != nil || len(random.Subject) != 26 {
		t.Errorf("%+v, %v", random, err)
	}
	asked = 0
	for want, wanted := range map[string]admin.NewUser{
		"there is a user":                        {Username: "alice"},
		`the subject "alice-1" belongs`:          {Username: "carol", Subject: "alice-1"},
		"without spaces and control characters":  {Username: "ca rol"},
		"at most 255 printable ASCII characters": {Username: "carol", Subject: "ü"},
	} {
		_, err := a.AddUser(ctx, wanted, good)
		refused(t, err, want, false)
	}
	if asked != 0 {
		t.Errorf("a password was asked for %d times in vain", asked)
	}
	for text, want := range map[string]string{
		"hunter2": "shorter than 15 characters", strings.Repeat("a", 1025): "longer than 1024 bytes", "with a line\nbreak in it": "cannot be typed",
	} {
		err := a.SetPassword(ctx, "alice", password(text))
		refused(t, err, want, false)
		if strings.Contains(err.Error(), text) {
			t.Errorf("%v shows the password", err)
		}
	}
	refused(t, a.SetPassword(ctx, "nobody", good), `there is no user "nobody"`, false)
	refused(t, a.SetUserCode(ctx, "alice", ""), "", true) // a file that is empty removes nothing
	for _, change := range []error{
		a.SetUserCode(ctx, "alice", "tin opener"), a.RemoveUserCode(ctx, "alice"),
		a.SetUserDisabled(ctx, "alice", true), a.SetPassword(ctx, "alice", good),
	} {
		if change != nil {
			t.Error(change)
		}
	}
	if user, err = a.User(ctx, "alice"); err != nil || admin.UserState(user, directory.Failed{}) != "disabled" || user.UserCode != "" {
		t.Errorf("%+v, %v", user, err)
	}
	exported, err := a.Export(ctx, "alice-1")
	if err != nil || !strings.Contains(string(exported), `"birthdate": "1980-01-01"`) || strings.Contains(string(exported), "argon2") {
		t.Errorf("%s, %v", exported, err)
	}
	if subject, err := a.Who(ctx, "alice"); err != nil || subject != "alice-1" {
		t.Errorf("alice is %q, %v", subject, err)
	}
	_, err = a.Person(ctx, "nobody")
	refused(t, err, "neither as a user name nor as a subject", false)
	if err := a.Erase(ctx, "alice-1"); err != nil {
		t.Fatal(err)
	}
	_, err = a.AddUser(ctx, admin.NewUser{Username: "dora", Subject: "alice-1"}, good)
	refused(t, err, "subjects are never given twice", false)
	if got := events(t, a); got[len(got)-1]["event"] != "person_erased" {
		t.Errorf("the audit log: %v", got)
	}
}

func TestAuthenticators(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	user, err := a.AddUser(ctx, admin.NewUser{Username: "alice"}, func() ([]byte, error) { return []byte("correct horse battery staple"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if code, err := a.AddDeviceCode(ctx, "alice", "urn:x:class"); err != nil || len(code) != 26 {
		t.Errorf("%q, %v", code, err)
	}
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	device, err := a.AddDevice(ctx, "alice", "Bank app", key.PublicJWK(), "urn:x:class")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.AddDevice(ctx, "alice", "Bank app", key.PublicJWK(), "urn:x:class")
	refused(t, err, "belongs to a device already", true)
	_, err = a.AddDevice(ctx, "alice", "", key.PublicJWK(), "urn:x:class")
	refused(t, err, "--name: ", false)
	_, err = a.AddDevice(ctx, "alice", "Bank app", []byte("{}"), "")
	refused(t, err, "", true)
	if device.ACR != "urn:x:class" {
		t.Errorf("added at %q", device.ACR)
	}
	passkey := store.Passkey{ID: []byte{0xfb, 0xff}, Subject: user.Subject, Name: "Key", PublicKey: []byte{1}, AAGUID: make([]byte, 16), CreatedAt: now}
	if err := a.Store.AddPasskey(ctx, passkey); err != nil {
		t.Fatal(err)
	}
	ids := func() []string {
		t.Helper()
		all, err := a.Authenticators(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, one := range all {
			found = append(found, one.ID)
		}
		return found
	}
	if got := ids(); !slices.Equal(got, []string{device.ID, "passkey:-_8"}) {
		t.Fatalf("%v", got)
	}
	refused(t, a.RemoveAuthenticator(ctx, "alice", "browser:00"), `alice has no "browser:00"`, false)
	for _, id := range ids() {
		if err := a.RemoveAuthenticator(ctx, "alice", id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if got := ids(); len(got) != 0 {
		t.Errorf("%v are left", got)
	}
}

func TestFilter(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	user, err := a.AddUser(ctx, admin.NewUser{Username: "alice"}, func() ([]byte, error) { return []byte("correct horse battery staple"), nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		give admin.Selection
		want store.Filter
	}{
		{admin.Selection{Limit: 1}, store.Filter{Limit: 1}},
		{admin.Selection{User: "alice", Client: "app", Limit: 1}, store.Filter{Subject: user.Subject, ClientID: "app", Limit: 1}},
		{admin.Selection{User: "gone", Limit: 1}, store.Filter{Subject: "gone", Limit: 1}},
		{admin.Selection{Since: "30d", Until: "12h", Limit: 1}, store.Filter{Since: now.AddDate(0, 0, -30), Until: now.Add(-12 * time.Hour), Limit: 1}},
		{admin.Selection{Since: "2026-11-01", Until: "2026-11-01T12:00:00Z", Limit: 1},
			store.Filter{Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), Limit: 1}},
	} {
		if got, err := a.Filter(ctx, test.give); err != nil || got != test.want {
			t.Errorf("%+v: %+v, %v", test.give, got, err)
		}
	}
	for want, give := range map[string]admin.Selection{
		"--limit must be 1 or more":         {},
		`--since: "yesterday" is no time`:   {Since: "yesterday", Limit: 1},
		`--until: "-12h" is no time`:        {Until: "-12h", Limit: 1},
		`--since: "100000000d" is no time;`: {Since: "100000000d", Limit: 1},
	} {
		_, err := a.Filter(ctx, give)
		refused(t, err, want, false)
	}
	for want, grant := range map[string]store.Grant{
		"active":  {ExpiresAt: now.Add(time.Second)},
		"expired": {ExpiresAt: now},
		"revoked": {ExpiresAt: now, RevokedAt: now},
	} {
		if got := admin.GrantState(grant, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	refused(t, a.RevokeGrant(ctx, "nothing"), `there is no grant "nothing"`, false)
}
