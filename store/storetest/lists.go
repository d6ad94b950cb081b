package storetest

import (
	"fmt"
	"slices"
	"sync"

	"countersign/store"
)

// partsOf reads a list to its end, two records at a time; between is called after each part.
func partsOf[T any](f *fixture, list func(after string, limit int) ([]T, error), key func(T) string, between func()) (found []T) {
	f.Helper()
	for after := ""; ; {
		part, err := list(after, 2)
		f.must(err)
		if len(part) > 2 {
			f.Fatalf("%d of 2", len(part))
		}
		found = append(found, part...)
		if len(part) < 2 {
			return found
		}
		after = key(part[1])
		between()
	}
}

// testLists: what is there all the while is listed once, whatever comes and goes between the parts.
func testLists(f *fixture) {
	nothing := func() {}
	var clients []store.Client
	var users []store.User
	for i := range 7 {
		client := f.client(fmt.Sprintf("client %02d é", 2*i))
		f.must(f.PutClient(f.Context(), client))
		clients = append(clients, client)
		user := store.User{Subject: fmt.Sprintf("subject %02d", 2*i), Username: fmt.Sprint("name ", 9-i), CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(), Epoch: 1}
		f.must(f.PutUser(f.Context(), user))
		users = append(users, user)
		token := f.initialToken(i)
		token.Organisation = fmt.Sprint("organisation ", i)
		f.must(f.PutInitialToken(f.Context(), token))
		got, err := f.InitialTokenOf(f.Context(), token.Organisation)
		f.must(err)
		f.equal(got, token)
	}
	_, err := f.InitialTokenOf(f.Context(), "organisation")
	f.want(err, store.ErrNotFound)
	ofClients := func(after string, limit int) ([]store.Client, error) { return f.ListClients(f.Context(), after, limit) }
	ofUsers := func(after string, limit int) ([]store.User, error) { return f.ListUsers(f.Context(), after, limit) }
	clientKey, userKey := func(c store.Client) string { return c.ID }, func(u store.User) string { return u.Subject }
	whole, err := f.Clients(f.Context())
	f.must(err)
	f.equal(partsOf(f, ofClients, clientKey, nothing), whole)
	f.equal(partsOf(f, ofClients, clientKey, nothing), clients)
	f.equal(partsOf(f, ofUsers, userKey, nothing), users)
	all, err := f.InitialTokens(f.Context())
	f.must(err)
	f.equal(partsOf(f, func(after string, limit int) ([]store.InitialToken, error) {
		return f.ListInitialTokens(f.Context(), after, limit)
	},
		func(t store.InitialToken) string { return t.Organisation }, nothing), all)
	added := 0
	found := partsOf(f, ofClients, clientKey, func() { // one before and one after where the list is, and one goes
		added++
		f.must(f.PutClient(f.Context(), f.client(fmt.Sprint("client 0 ", added))))
		f.must(f.PutClient(f.Context(), f.client(fmt.Sprint("client 9 ", added))))
		if added == 3 {
			f.must(f.DeleteClient(f.Context(), clients[0].ID, store.RevokedByOperator))
		}
	})
	seen := map[string]int{}
	for _, one := range found {
		seen[one.ID]++
		if seen[one.ID] > 1 {
			f.Errorf("%q was listed twice", one.ID)
		}
	}
	for _, one := range clients {
		if seen[one.ID] != 1 {
			f.Errorf("%q was listed %d times", one.ID, seen[one.ID])
		}
	}
}

// testRaceLists: what was there before is listed once by each of several readers, while others add and remove.
func testRaceLists(f *fixture) {
	var before []string
	for i := range 20 {
		user := store.User{Subject: fmt.Sprintf("b%02d", i), Username: fmt.Sprint("before ", i), CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now()}
		f.must(f.PutUser(f.Context(), user))
		before = append(before, user.Subject)
	}
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				name := fmt.Sprintf("%c%d-%d", 'a'+w, w, i) // before, among and after them
				if err := f.PutUser(f.Context(), store.User{Subject: name, Username: name, CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now()}); err != nil {
					f.Error(err)
					return
				}
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			var seen []string
			for after := ""; ; {
				part, err := f.ListUsers(f.Context(), after, 3)
				if err != nil {
					f.Error(err)
					return
				}
				for _, one := range part {
					seen = append(seen, one.Subject)
				}
				if len(part) < 3 || len(seen) > 2000 {
					break
				}
				after = part[len(part)-1].Subject
			}
			if again := slices.Compact(slices.Sorted(slices.Values(seen))); len(again) != len(seen) {
				f.Errorf("%d were listed, of which %d differ", len(seen), len(again))
			}
			if last := seen[len(seen)-1]; last > "c" || len(seen) <= 2000 {
				for _, one := range before {
					if !slices.Contains(seen, one) {
						f.Errorf("%s was not listed", one)
					}
				}
			}
		})
	}
	readers.Wait()
	close(done)
	writers.Wait()
}
