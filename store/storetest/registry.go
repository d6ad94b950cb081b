package storetest

import (
	"encoding/json"
	"time"

	"countersign/store"
)

func (f *fixture) client(id string) store.Client {
	return store.Client{
		ID: id, Profile: "fapi2-security", Metadata: json.RawMessage(`{"client_name": "É <b>"}`), Version: 1,
		CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}
}

func (f *fixture) key(id string) store.Key {
	return store.Key{
		ID: id, Algorithm: "PS256", Uses: []string{"access_token", "id_token"}, State: "published",
		URIs:   []string{"pkcs11:token=a%20b;object=" + id + "?module-name=x"},
		Public: json.RawMessage(`{"kty":"RSA"}`), CreatedAt: f.clock.Now(),
	}
}

func testClients(f *fixture) {
	_, err := f.Client(f.Context(), "b")
	f.want(err, store.ErrNotFound)
	b, a := f.client("b"), f.client("a")
	capital := f.client("B")
	capital.Metadata, capital.Disabled = nil, true
	for _, client := range []store.Client{b, a, capital} {
		f.must(f.PutClient(f.Context(), client))
	}
	all, err := f.Clients(f.Context())
	f.must(err)
	f.equal(all, []store.Client{capital, a, b})

	f.want(f.PutClient(f.Context(), b), store.ErrConflict) // exists
	for _, version := range []int{-1, 0, 3} {
		wrong := b
		wrong.Version = version
		f.want(f.PutClient(f.Context(), wrong), store.ErrConflict)
	}
	unknown := f.client("c")
	unknown.Version = 2
	f.want(f.PutClient(f.Context(), unknown), store.ErrConflict)

	b.Version, b.Disabled, b.Profile, b.UpdatedAt = 2, true, "another", f.clock.Now().Add(time.Minute)
	f.must(f.PutClient(f.Context(), b))
	f.want(f.PutClient(f.Context(), b), store.ErrConflict)
	got, err := f.Client(f.Context(), "b")
	f.must(err)
	f.equal(got, b)
}

func testUsers(f *fixture) {
	user := func(subject, name string) store.User {
		return store.User{
			Subject: subject, Username: name, Password: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
			Claims: json.RawMessage(`{"name": "A  B"}`), CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(), Epoch: 1,
		}
	}
	_, err := f.User(f.Context(), "1")
	f.want(err, store.ErrNotFound)
	_, err = f.UserByName(f.Context(), "bob")
	f.want(err, store.ErrNotFound)
	bob, alice, zoe := user("1", "bob"), user("2", "alice"), user("3", "Zoé")
	zoe.Password, zoe.Claims = "", nil
	for _, u := range []store.User{bob, alice, zoe} {
		f.must(f.PutUser(f.Context(), u))
	}
	all, err := f.Users(f.Context())
	f.must(err)
	f.equal(all, []store.User{zoe, alice, bob})

	bob.Username, bob.Disabled, bob.UpdatedAt = "robert", true, f.clock.Now().Add(time.Minute)
	f.must(f.PutUser(f.Context(), bob))
	got, err := f.User(f.Context(), "1")
	f.must(err)
	f.equal(got, bob)
	got, err = f.UserByName(f.Context(), "robert")
	f.must(err)
	f.equal(got, bob)
	for _, gone := range []string{"bob", "Robert", "robert "} {
		_, err = f.UserByName(f.Context(), gone)
		f.want(err, store.ErrNotFound)
	}
	alice.Username = "robert"
	f.want(f.PutUser(f.Context(), alice), store.ErrConflict)
	f.want(f.PutUser(f.Context(), user("4", "Zoé")), store.ErrConflict)
	f.must(f.PutUser(f.Context(), user("4", "bob")))
}

func testKeys(f *fixture) {
	newer, older, oldest := f.key("a"), f.key("b"), f.key("c")
	newer.CreatedAt = f.clock.Now().Add(time.Hour)
	oldest.CreatedAt = f.clock.Now().Add(-time.Hour)
	oldest.URIs, oldest.Uses, oldest.Public = nil, nil, nil
	for _, key := range []store.Key{newer, older, oldest} {
		f.must(f.AddKey(f.Context(), key))
	}
	f.want(f.AddKey(f.Context(), older), store.ErrConflict)
	all, err := f.Keys(f.Context())
	f.must(err)
	f.equal(all, []store.Key{oldest, older, newer})

	at := f.clock.Now().Add(time.Minute)
	f.want(f.MoveKey(f.Context(), "x", "published", "active", at), store.ErrNotFound)
	f.want(f.MoveKey(f.Context(), "b", "active", "retiring", at), store.ErrConflict)
	f.must(f.MoveKey(f.Context(), "b", "published", "active", at))
	older.State, older.ActivatedAt = "active", at
	f.must(f.MoveKey(f.Context(), "c", "published", "active", at))
	f.must(f.MoveKey(f.Context(), "c", "active", "retiring", at.Add(time.Minute)))
	oldest.State, oldest.ActivatedAt, oldest.RetiredAt = "retiring", at, at.Add(time.Minute)
	f.must(f.MoveKey(f.Context(), "a", "published", "destroyed", at))
	all, err = f.Keys(f.Context())
	f.must(err)
	f.equal(all, []store.Key{oldest, older})

	one, two := []string{"pkcs11:token=a"}, []string{"pkcs11:token=a", "pkcs11:token=b"}
	f.want(f.SetKeyURIs(f.Context(), "x", nil, one), store.ErrNotFound)
	f.want(f.SetKeyURIs(f.Context(), "a", newer.URIs, one), store.ErrNotFound) // it is destroyed
	f.want(f.SetKeyURIs(f.Context(), "c", two, one), store.ErrConflict)
	f.must(f.SetKeyURIs(f.Context(), "c", nil, one))
	f.want(f.SetKeyURIs(f.Context(), "c", nil, two), store.ErrConflict)
	f.must(f.SetKeyURIs(f.Context(), "c", one, two))
	oldest.URIs = two
	all, err = f.Keys(f.Context())
	f.must(err)
	f.equal(all, []store.Key{oldest, older})

	f.want(f.AddKey(f.Context(), newer), store.ErrConflict) // a destroyed key's ID stays taken
	f.want(f.MoveKey(f.Context(), "a", "published", "active", at), store.ErrConflict)
	if err := f.MoveKey(f.Context(), "b", "active", "lost", at); err == nil {
		f.Error("a key was moved to a state that does not exist")
	}
	if err := f.AddKey(f.Context(), store.Key{ID: "d", State: "lost", CreatedAt: at}); err == nil {
		f.Error("a key was added in a state that does not exist")
	}
}
