package postgres_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"countersign/internal/pgproxy"
	"countersign/store"
	"countersign/store/postgres"
)

// through returns a database URL that leads through a proxy.
func through(t *testing.T, database string) (string, *pgproxy.Proxy) {
	t.Helper()
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	proxy, err := pgproxy.Start(query.Get("host"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	query.Set("host", proxy.Host())
	address.RawQuery = query.Encode()
	return address.String(), proxy
}

// TestRoundTrips: each verb of a flow that succeeds waits for the database once.
func TestRoundTrips(t *testing.T) {
	address, proxy := through(t, migrated(t, cluster.Database(t)))
	s := opened(t, postgres.Config{URL: address, MaxConnections: 1})
	now := time.Now()
	if err := s.PutUser(t.Context(), store.User{Subject: "subject", Username: "subject", CreatedAt: now, UpdatedAt: now}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutClient(t.Context(), store.Client{ID: "client", Version: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
		t.Fatal(err)
	}
	serial := 0
	for _, warm := range []bool{false, true} { // the first time, statements are prepared
		serial++
		id := func(name string) store.Digest { return store.DigestOf(name + string(rune('0'+serial))) }
		oneTime := func(name string) store.OneTime {
			return store.OneTime{Kind: "dpop", Key: id(name), Until: now.Add(time.Minute)}
		}
		soon := now.Add(time.Minute)
		grant := store.Grant{ID: "grant" + string(rune('0'+serial)), ClientID: "client", Subject: "subject", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		grant.ManagedID = "managed " + grant.ID
		code := store.Code{ID: id("code"), GrantID: grant.ID, ClientID: "client", CreatedAt: now, ExpiresAt: soon}
		consent := store.Consent{Subject: "subject", ClientID: "client", CreatedAt: now, ExpiresAt: soon}
		lodged := store.LodgedConsent{
			ID: "consent" + string(rune('0'+serial)), ClientID: "client", Status: store.ConsentAwaiting, CreatedAt: now, ChangedAt: now, Version: 1, ExpiresAt: soon,
		}
		for _, verb := range []struct {
			name string
			do   func(ctx context.Context) error
		}{
			{"Client", func(ctx context.Context) error { _, err := s.Client(ctx, "client"); return err }},
			{"Push", func(ctx context.Context) error {
				return s.Push(ctx, store.Request{ID: id("request"), ClientID: "client", CreatedAt: now, ExpiresAt: soon}, oneTime("push a"), oneTime("push b"))
			}},
			{"Open", func(ctx context.Context) error { _, err := s.Open(ctx, id("request"), id("session")); return err }},
			{"BeginInteraction", func(ctx context.Context) error {
				return s.BeginInteraction(ctx, store.Interaction{ID: id("interaction"), RequestID: id("request"), Browser: id("browser"), CreatedAt: now, ExpiresAt: soon})
			}},
			{"Interaction", func(ctx context.Context) error {
				_, err := s.Interaction(ctx, id("interaction"), id("browser"))
				return err
			}},
			{"UserByName", func(ctx context.Context) error { _, err := s.UserByName(ctx, "subject"); return err }},
			{"SignIn", func(ctx context.Context) error {
				return s.SignIn(ctx, id("interaction"), store.Session{ID: id("session"), Subject: "subject", AuthTime: now, ExpiresAt: soon})
			}},
			{"Finish", func(ctx context.Context) error {
				return s.Finish(ctx, store.Finish{Interaction: id("interaction"), Request: id("request"), Grant: &grant, Code: &code, Consent: &consent})
			}},
			{"LodgeConsent", func(ctx context.Context) error {
				return s.LodgeConsent(ctx, lodged, store.ConsentQuota{Client: 10}, oneTime("lodge"))
			}},
			{"LodgedConsent", func(ctx context.Context) error { _, err := s.LodgedConsent(ctx, "client", lodged.ID); return err }},
			{"BindConsent", func(ctx context.Context) error {
				_, err := s.BindConsent(ctx, store.ConsentBinding{ID: lodged.ID, ClientID: "client", To: id("interaction")})
				return err
			}},
			{"Push", func(ctx context.Context) error {
				return s.Push(ctx, store.Request{ID: id("second"), ClientID: "client", CreatedAt: now, ExpiresAt: soon})
			}},
			{"Finish with a lodged consent", func(ctx context.Context) error {
				granted := grant
				granted.ID += " of a consent"
				return s.Finish(ctx, store.Finish{Request: id("second"), Grant: &granted, Lodged: &store.ConsentDecision{
					ID: lodged.ID, ClientID: "client", Bound: id("interaction"), Version: 1, Subject: "subject",
				}})
			}},
			{"EndConsent", func(ctx context.Context) error {
				_, err := s.EndConsent(ctx, store.ConsentEnding{ID: lodged.ID, ClientID: "client"})
				return err
			}},
			{"CodeGrant", func(ctx context.Context) error { _, _, err := s.CodeGrant(ctx, code.ID); return err }},
			{"RedeemCode", func(ctx context.Context) error {
				return s.RedeemCode(ctx, code.ID, store.Issued{
					AccessToken:  store.AccessToken{ID: id("access"), GrantID: grant.ID, ExpiresAt: soon},
					RefreshToken: &store.RefreshToken{ID: id("refresh"), GrantID: grant.ID, ClientID: "client", CreatedAt: now, ExpiresAt: soon},
				}, oneTime("redeem a"), oneTime("redeem b"))
			}},
			{"RefreshGrant", func(ctx context.Context) error { _, _, err := s.RefreshGrant(ctx, id("refresh")); return err }},
			{"Refresh", func(ctx context.Context) error {
				return s.Refresh(ctx, id("refresh"), store.AccessToken{ID: id("second"), GrantID: grant.ID, ExpiresAt: soon}, oneTime("refresh"))
			}},
			{"AccessGrant", func(ctx context.Context) error {
				_, err := s.AccessGrant(ctx, id("second"), oneTime("access"))
				return err
			}},
			{"ManagedGrant", func(ctx context.Context) error {
				_, err := s.ManagedGrant(ctx, "client", grant.ManagedID)
				return err
			}},
			{"Push", func(ctx context.Context) error {
				return s.Push(ctx, store.Request{ID: id("third"), ClientID: "client", CreatedAt: now, ExpiresAt: soon})
			}},
			{"Finish that replaces a grant", func(ctx context.Context) error {
				granted := grant
				granted.ID += " in its place"
				return s.Finish(ctx, store.Finish{Request: id("third"), Grant: &granted, Replaces: grant.ID})
			}},
			{"Allow", func(ctx context.Context) error {
				_, err := s.Allow(ctx, store.Rate{Key: id("a"), Interval: time.Minute, Burst: 2}, store.Rate{Key: id("b"), Interval: time.Minute, Burst: 2})
				return err
			}},
			{"Refund", func(ctx context.Context) error {
				return s.Refund(ctx, []store.Rate{{Key: id("a"), Interval: time.Minute, Burst: 2}}, id("b"))
			}},
			{"EndClientGrant", func(ctx context.Context) error {
				return s.EndClientGrant(ctx, grant.ClientID, grant.ID+" in its place", nil, oneTime("end"))
			}},
			{"RevokeGrant", func(ctx context.Context) error {
				return s.RevokeGrant(ctx, grant.ID, store.RevokedByOperator, nil, oneTime("revoke"))
			}},
		} {
			before := proxy.RoundTrips()
			if err := verb.do(t.Context()); err != nil {
				t.Fatalf("%s: %v", verb.name, err)
			}
			if trips := proxy.RoundTrips() - before; warm && trips != 1 {
				t.Errorf("%s took %d round trips", verb.name, trips)
			}
		}
	}
}
