package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
)

// durable is a server that writes through to the disk, as in production.
var durable = postgrestest.Cluster{Fsync: true}

// BenchmarkTogether is the five verbs of a flow of a user who has a session and has consented, by so many callers at once. It
// gives the processor time of this process and of the database's processes for each flow, in µs: on a machine that others use
// too, that says more than the time that went by. What is compared belongs into runs that take turns.
func BenchmarkTogether(b *testing.B) {
	for _, callers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { together(b, callers) })
	}
}

func together(b *testing.B, callers int) {
	url := durable.Database(b)
	if _, err := postgres.Migrate(b.Context(), postgres.Config{URL: url}); err != nil {
		b.Fatal(err)
	}
	s, err := postgres.Open(b.Context(), postgres.Config{URL: url, MaxConnections: 16})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	session := store.DigestOf("session")
	if err := s.PutUser(b.Context(), store.User{Subject: "subject", Username: "subject", CreatedAt: now, UpdatedAt: now}); err != nil {
		b.Fatal(err)
	}
	if err := s.StartSession(b.Context(), store.Session{ID: session, Subject: "subject", AuthTime: now, ExpiresAt: now.Add(time.Hour)}, store.Digest{}); err != nil {
		b.Fatal(err)
	}
	var serial atomic.Int64
	flows := func(each func() bool) {
		var running sync.WaitGroup
		defer running.Wait()
		for range callers {
			running.Go(func() {
				for each() {
					if err := remembered(s, session, fmt.Sprint(serial.Add(1))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	var warm atomic.Int64
	flows(func() bool { return warm.Add(1) <= 400 })
	database := postmaster(b, url)
	before, flowsBefore := cpu(b, database), serial.Load()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	flows(func() bool { return left.Add(-1) >= 0 })
	b.StopTimer()
	b.ReportMetric(float64((cpu(b, database)-before).Microseconds())/float64(serial.Load()-flowsBefore), "cpu-µs/flow")
}

// remembered is one flow.
func remembered(s *postgres.Store, session store.Digest, name string) error {
	ctx, now := context.Background(), time.Now()
	id := func(what string) store.Digest { return store.DigestOf(name + what) }
	soon := now.Add(time.Minute)
	oneTimes := func(what string) []store.OneTime {
		return []store.OneTime{{Kind: "assertion", Key: id("assertion" + what), Until: soon}, {Kind: "dpop", Key: id("dpop" + what), Until: soon}}
	}
	request := store.Request{
		ID: id("request"), ClientID: "client", Parameters: []byte(`{"scope":"openid accounts","state":"a state that a client made"}`),
		CreatedAt: now, ExpiresAt: soon,
	}
	grant := store.Grant{
		ID: name, ClientID: "client", Subject: "subject", Scopes: []string{"openid", "accounts"}, AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	code := store.Code{ID: id("code"), GrantID: grant.ID, ClientID: "client", RedirectURI: "https://client.example/cb", CreatedAt: now, ExpiresAt: soon}
	access := store.AccessToken{ID: id("access"), GrantID: grant.ID, ExpiresAt: soon}
	for _, verb := range []func() error{
		func() error { return s.Push(ctx, request, oneTimes("1")...) },
		func() error {
			opened, err := s.Open(ctx, request.ID, session)
			if err == nil && opened.Session == nil {
				err = errors.New("there is no session")
			}
			return err
		},
		func() error { return s.Finish(ctx, store.Finish{Request: request.ID, Grant: &grant, Code: &code}) },
		func() error { _, _, err := s.CodeGrant(ctx, code.ID); return err },
		func() error { return s.RedeemCode(ctx, code.ID, store.Issued{AccessToken: access}, oneTimes("2")...) },
	} {
		err := verb()
		for ; errors.Is(err, store.ErrOverloaded); err = verb() {
			time.Sleep(20 * time.Millisecond) // the disk is busy with something else
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// postmaster returns the process that all of a database's processes are children of.
func postmaster(b *testing.B, url string) int {
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	var folder string
	if err := conn.QueryRow(b.Context(), "SHOW data_directory").Scan(&folder); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// cpu is the processor time of this process and of the database's, those included that have ended.
func cpu(b *testing.B, database int) time.Duration {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	ticks, of := int64(0), strconv.Itoa(database)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		pid, _, _ := bytes.Cut(text, []byte(" "))
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the third field and the rest; see proc(5)
		count := func(n int) int64 {
			value, err := strconv.ParseInt(string(fields[n-3]), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return value
		}
		switch of {
		case string(pid):
			ticks += count(14) + count(15) + count(16) + count(17)
		case string(fields[1]):
			ticks += count(14) + count(15)
		}
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + time.Duration(ticks)*tick
}
