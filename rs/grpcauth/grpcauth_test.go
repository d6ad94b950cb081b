package grpcauth_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"countersign/fapi/fapitest"
	"countersign/mtls"
	"countersign/rs"
	"countersign/rs/grpcauth"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// service answers with who asked. Its methods are those of a service that comes with gRPC: Check is unary, Watch a stream.
type service struct {
	health.UnimplementedHealthServer
	subject, interaction string
}

func (s *service) note(ctx context.Context) {
	if token, ok := rs.FromContext(ctx); ok {
		s.subject, s.interaction = token.Subject, token.InteractionID
	}
}

// Check implements the service.
func (s *service) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	s.note(ctx)
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

// Watch implements the service.
func (s *service) Watch(_ *health.HealthCheckRequest, stream grpc.ServerStreamingServer[health.HealthCheckResponse]) error {
	s.note(stream.Context())
	return stream.Send(&health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING})
}

const (
	base = "https://api.example"
	path = "/grpc.health.v1.Health/"
)

// listen starts a server with rules and returns its address.
func listen(t *testing.T, guard *rs.Guard, served *service, rules grpcauth.Rules) string {
	t.Helper()
	certificate, _ := fapitest.ServerCertificate(t)
	auth := grpcauth.New(guard, rules)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(mtls.ServerConfig([]tls.Certificate{certificate}, true))),
		grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))
	health.RegisterHealthServer(server, served)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // ends by Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// answer is what came of a call.
type answer struct {
	status          *status.Status
	header, trailer metadata.MD
}

// Covers: RS-23. The same over gRPC: unary and streams, proofs and certificates, nonces, and challenges in the trailer.
func TestRS23GRPC(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	bound := w.Register("client-2", fapitest.All(fapitest.AllScopes, fapitest.CertificateBound))
	tokenOf := func(c *fapitest.Client) string {
		return c.TokensFor(fapitest.Set("resource", fapitest.LedgerAPI)).Text("access_token")
	}
	newGuard := func(change func(*rs.Config)) *rs.Guard {
		config := rs.Config{Issuer: w.Issuer, Audience: fapitest.LedgerAPI, BaseURL: base, Now: w.Clock.Now, HTTP: w.Transport(&fapitest.Client{World: w})}
		if change != nil {
			change(&config)
		}
		guard, err := rs.New(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return guard
	}
	served := &service{}
	rules := grpcauth.Rules{path + "Check": {rs.Scope("accounts")}, path + "*": {rs.Scope("accounts"), rs.MaxAge(time.Hour)}}
	address := listen(t, newGuard(nil), served, rules)
	call := func(t *testing.T, address, method, certificateOf string, fields ...string) answer {
		t.Helper()
		_, roots := fapitest.ServerCertificate(t)
		config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
		if certificateOf == bound.ID {
			config.Certificates = []tls.Certificate{*bound.Certificate}
		}
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, fields...)
		client := health.NewHealthClient(connection)
		var got answer
		if method == "Check" {
			_, err = client.Check(ctx, &health.HealthCheckRequest{}, grpc.Header(&got.header), grpc.Trailer(&got.trailer))
		} else {
			var stream grpc.ServerStreamingClient[health.HealthCheckResponse]
			if stream, err = client.Watch(ctx, &health.HealthCheckRequest{}); err != nil {
				t.Fatal(err)
			}
			if _, err = stream.Recv(); err == nil {
				if _, err := stream.Recv(); err != io.EOF {
					t.Fatalf("the stream did not end: %v", err)
				}
			}
			got.header, _ = stream.Header()
			got.trailer = stream.Trailer()
		}
		got.status = status.Convert(err)
		return got
	}
	proven := func(c *fapitest.Client, token, method string, alter func(fapitest.Claims)) []string {
		return []string{"authorization", "DPoP " + token, "dpop", c.Proof("POST", base+path+method, token, alter)}
	}
	const id = "93bac548-d2de-4546-b106-880a5018460d"
	token, certified := tokenOf(c), tokenOf(bound)
	for _, method := range []string{"Check", "Watch"} {
		t.Run("accepts a proof, "+method, func(t *testing.T) {
			served.subject = ""
			got := call(t, address, method, "", append(proven(c, token, method, nil), "x-fapi-interaction-id", id)...)
			if got.status.Code() != codes.OK || served.subject != "sub-alice" || served.interaction != id || got.header.Get("x-fapi-interaction-id")[0] != id {
				t.Errorf("%v, %v, %+v", got.status, got.header, served)
			}
		})
		t.Run("accepts a certificate, "+method, func(t *testing.T) {
			if got := call(t, address, method, bound.ID, "authorization", "Bearer "+certified); got.status.Code() != codes.OK {
				t.Error(got.status)
			}
		})
		used := proven(c, token, method, nil)
		if got := call(t, address, method, "", used...); got.status.Code() != codes.OK {
			t.Fatal(got.status)
		}
		for name, one := range map[string]struct {
			certificate string
			fields      []string
			code        codes.Code
			says        string
		}{
			"no token":                 {"", nil, codes.Unauthenticated, "an access token is needed"},
			"two tokens":               {"", append(proven(c, token, method, nil), "authorization", "DPoP "+token), codes.InvalidArgument, "invalid_request"},
			"no proof":                 {"", []string{"authorization", "DPoP " + token}, codes.Unauthenticated, "invalid_dpop_proof"},
			"a proof for GET":          {"", proven(c, token, method, fapitest.SetClaim("htm", "GET")), codes.Unauthenticated, "invalid_dpop_proof"},
			"a proof for another call": {"", proven(c, token, method, fapitest.SetClaim("htu", base+path+"List")), codes.Unauthenticated, "invalid_dpop_proof"},
			"a proof that was used":    {"", used, codes.Unauthenticated, "invalid_dpop_proof"},
			"a bound token as Bearer":  {"", []string{"authorization", "Bearer " + token}, codes.Unauthenticated, "invalid_token"},
			"no certificate":           {"", []string{"authorization", "Bearer " + certified}, codes.Unauthenticated, "invalid_token"},
			"a token that is not ours": {"", proven(c, token+"x", method, nil), codes.Unauthenticated, "invalid_token"},
			"a token for another API":  {"", proven(c, c.Tokens().Text("access_token"), method, nil), codes.Unauthenticated, "invalid_token"},
		} {
			t.Run("refuses "+name+", "+method, func(t *testing.T) {
				got := call(t, address, method, one.certificate, one.fields...)
				if got.status.Code() != one.code || !strings.Contains(got.status.Message(), one.says) {
					t.Fatal(got.status)
				}
				challenge := strings.Join(got.trailer.Get("www-authenticate"), ", ")
				if !strings.Contains(challenge, `DPoP algs="PS256 ES256 EdDSA"`) && !strings.Contains(challenge, "Bearer") || len(got.trailer.Get("x-fapi-interaction-id")) != 1 {
					t.Errorf("the trailer is %v", got.trailer)
				}
			})
		}
	}
	t.Run("refuses a scope that is missing, and an authentication of long ago", func(t *testing.T) {
		strict := listen(t, newGuard(nil), served, grpcauth.Rules{path + "Check": {rs.Scope("payments")}, path + "Watch": {rs.MaxAge(-time.Second)}})
		if got := call(t, strict, "Check", "", proven(c, token, "Check", nil)...); got.status.Code() != codes.PermissionDenied || !strings.Contains(got.trailer.Get("www-authenticate")[0], `scope="payments"`) {
			t.Errorf("%v, %v", got.status, got.trailer)
		}
		if got := call(t, strict, "Watch", "", proven(c, token, "Watch", nil)...); got.status.Code() != codes.Unauthenticated || !strings.Contains(got.trailer.Get("www-authenticate")[0], "max_age=") {
			t.Errorf("%v, %v", got.status, got.trailer)
		}
	})
	t.Run("refuses a method that has no rule", func(t *testing.T) {
		closed := listen(t, newGuard(nil), served, grpcauth.Rules{path + "Check": {rs.Scope("accounts")}})
		if got := call(t, closed, "Watch", "", proven(c, token, "Watch", nil)...); got.status.Code() != codes.PermissionDenied {
			t.Error(got.status)
		}
	})
	t.Run("refuses without a nonce, and accepts with the one of the refusal", func(t *testing.T) {
		asking := listen(t, newGuard(func(config *rs.Config) { config.NonceSeeds = [][]byte{make([]byte, 32)} }), served, rules)
		got := call(t, asking, "Check", "", proven(c, token, "Check", nil)...)
		if got.status.Code() != codes.Unauthenticated || !strings.Contains(got.status.Message(), "use_dpop_nonce") || len(got.trailer.Get("dpop-nonce")) != 1 {
			t.Fatalf("%v, %v", got.status, got.trailer)
		}
		nonce := got.trailer.Get("dpop-nonce")[0]
		got = call(t, asking, "Check", "", proven(c, token, "Check", fapitest.SetClaim("nonce", nonce))...)
		if got.status.Code() != codes.OK || len(got.header.Get("dpop-nonce")) != 1 {
			t.Errorf("%v, %v", got.status, got.header)
		}
	})
	t.Run("refuses to start with message signatures", func(t *testing.T) {
		key, err := rs.NewKey(c.Key.Signer(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		guard := newGuard(func(config *rs.Config) {
			config.Messages = &rs.Messages{Key: key, Keys: func(context.Context, *rs.Token) (rs.ClientKeys, error) { return rs.ClientKeys{}, nil }}
		})
		defer func() {
			if recover() == nil {
				t.Error("accepted")
			}
		}()
		grpcauth.New(guard, grpcauth.Rules{path + "Check": {rs.Signed()}})
	})
}
