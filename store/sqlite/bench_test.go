package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign/internal/random"
	"countersign/store"
	"countersign/store/sqlite"
)

// BenchmarkFlow measures the durable writes of one authorization: pushed request, interaction, sign-in, decision,
// redeemed code and one use of the access token. CPU is that of the process, the kernel's part included.
func BenchmarkFlow(b *testing.B) {
	for _, atOnce := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%d at once", atOnce), func(b *testing.B) { benchmarkFlow(b, atOnce) })
	}
}

func benchmarkFlow(b *testing.B, atOnce int) {
	config := sqlite.Config{File: filepath.Join(b.TempDir(), "store.db")}
	if _, err := sqlite.Migrate(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	s, err := sqlite.Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	before := processorTime(b)
	b.ResetTimer()
	var number atomic.Int64
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for n := number.Add(1); n <= int64(b.N); n = number.Add(1) {
				if err := flow(b.Context(), s, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func flow(ctx context.Context, s store.Store, number int64) error {
	now := time.Now()
	id := func(what string) store.Digest { return store.DigestOf(fmt.Sprint(what, number)) }
	issued := func() store.Digest { return store.IssuedDigest(random.Source{Now: time.Now}.Secret()) }
	oneTime := func(what string) store.OneTime {
		return store.OneTime{Kind: "dpop", Key: id("use of " + what), Until: now.Add(time.Minute)}
	}
	request := store.Request{
		ID: issued(), ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		Parameters: json.RawMessage(`{"scope":"` + strings.Repeat("accounts ", 60) + `"}`),
	}
	interaction := store.Interaction{
		ID: id("interaction"), RequestID: request.ID, Browser: id("browser"), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	session := store.Session{
		ID: id("session"), Subject: "subject", AuthTime: now, ACR: "acr", AMR: []string{"pwd"}, ExpiresAt: now.Add(time.Hour),
	}
	grant := store.Grant{
		ID: random.Source{Now: time.Now}.UUID(), ClientID: "client", Subject: "subject", Scopes: []string{"openid", "accounts"},
		Detail: json.RawMessage(`{"nonce":"n-0S6_WzA2Mj"}`), AuthTime: now, ACR: "acr", AMR: []string{"pwd"},
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	code := store.Code{
		ID: issued(), GrantID: grant.ID, ClientID: "client", RedirectURI: "https://client.example/callback",
		Challenge: strings.Repeat("c", 43), JKT: strings.Repeat("k", 43), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	access := store.AccessToken{ID: issued(), ExpiresAt: now.Add(time.Minute)}
	refresh := store.RefreshToken{ID: id("refresh"), CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	for _, write := range []func() error{
		func() error { return s.Push(ctx, request, oneTime("assertion"), oneTime("push")) },
		func() error { return s.BeginInteraction(ctx, interaction) },
		func() error { return s.SignIn(ctx, interaction.ID, session) },
		func() error {
			return s.Finish(ctx, store.Finish{Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code})
		},
		func() error {
			made := store.Issued{AccessToken: access, RefreshToken: &refresh}
			return s.RedeemCode(ctx, code.ID, made, oneTime("assertion again"), oneTime("token"))
		},
		func() error {
			_, err := s.AccessGrant(ctx, access.ID, oneTime("resource"))
			return err
		},
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
