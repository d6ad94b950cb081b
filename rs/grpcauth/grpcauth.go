// Package grpcauth puts a guard of package rs in front of a gRPC server: the same tokens, proofs, certificates and challenges as
// over HTTP.
//
//	auth := grpcauth.New(guard, grpcauth.Rules{
//		"/bank.Accounts/List": {rs.Scope("accounts")},
//		"/bank.Payments/*":    {rs.Scope("payments"), rs.MaxAge(5 * time.Minute)},
//	})
//	server := grpc.NewServer(grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))
//
// Access token and proof come in the metadata "authorization" and "dpop". A proof is for POST and the address of the method: the
// base of the guard, then "/bank.Accounts/List" (gRPC over HTTP/2 is a POST to that path). The certificate is that of the TLS connection.
//
// A refusal is Unauthenticated (401), PermissionDenied (403), InvalidArgument (400) or Unavailable (503), with the description, and
// in the trailer "www-authenticate", "dpop-nonce" and "x-fapi-interaction-id". The error wraps nothing of the cause.
package grpcauth

import (
	"context"
	"crypto/x509"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"countersign/rs"
)

// Rules are what methods require, by their full name, "/package.Service/Method", or for all methods of a service,
// "/package.Service/*". A method that has no rule is refused.
type Rules map[string][]rs.Requirement

// interactionName is the metadata that names a call at both ends.
const interactionName = "x-fapi-interaction-id"

// Interceptor authenticates calls. Make one with [New].
type Interceptor struct {
	guard *rs.Guard
	rules map[string]*rs.Rule
}

// New makes an interceptor. It panics for a rule with [rs.Signed], which is for HTTP messages.
func New(guard *rs.Guard, rules Rules) *Interceptor {
	i := &Interceptor{guard: guard, rules: map[string]*rs.Rule{}}
	for method, requirements := range rules {
		rule := guard.Rule(requirements...)
		if rule.NeedsSignature() {
			panic("grpcauth: " + method + " requires rs.Signed, which is for HTTP")
		}
		i.rules[method] = rule
	}
	return i
}

// Unary is a [grpc.UnaryServerInterceptor].
func (i *Interceptor) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	said, fail := i.begin(ctx)
	_ = grpc.SetHeader(ctx, said) // as a field of HTTP it is for the next call; without it the client asks for one
	token, err := i.authenticate(ctx, info.FullMethod, request, said)
	if err != nil {
		_ = grpc.SetTrailer(ctx, fail(err)) // the status says the rest
		return nil, statusOf(err)
	}
	return handler(rs.NewContext(ctx, token), request)
}

// Stream is a [grpc.StreamServerInterceptor]. The stream is authenticated when it begins.
func (i *Interceptor) Stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := stream.Context()
	said, fail := i.begin(ctx)
	_ = stream.SetHeader(said) // see Unary
	token, err := i.authenticate(ctx, info.FullMethod, nil, said)
	if err != nil {
		stream.SetTrailer(fail(err))
		return statusOf(err)
	}
	return handler(server, authenticated{stream, rs.NewContext(ctx, token)})
}

// authenticated is a stream whose context has the token.
type authenticated struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements [grpc.ServerStream].
func (a authenticated) Context() context.Context { return a.ctx }

// begin returns what each answer says, and what makes the trailer of a refusal.
func (i *Interceptor) begin(ctx context.Context) (said metadata.MD, fail func(error) metadata.MD) {
	said = metadata.MD{}
	said.Set(interactionName, rs.Interaction(first(ctx, interactionName)))
	if nonce := i.guard.Nonce(); nonce != "" {
		said.Set("dpop-nonce", nonce)
	}
	return said, func(err error) metadata.MD {
		trailer := said.Copy()
		if refused, ok := err.(*rs.Error); ok {
			trailer.Set("www-authenticate", refused.Challenges...)
		}
		return trailer
	}
}

func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// authenticate judges a call.
func (i *Interceptor) authenticate(ctx context.Context, method string, message any, said metadata.MD) (*rs.Token, error) {
	rule := i.rule(method)
	if rule == nil {
		return nil, &rs.Error{Status: http.StatusForbidden, Reason: rs.NotAllowed, Description: "the method has no rule"}
	}
	header := http.Header{}
	for _, name := range []string{"Authorization", "Dpop", "X-Fapi-Interaction-Id"} {
		if values := metadata.ValueFromIncomingContext(ctx, strings.ToLower(name)); len(values) > 0 {
			header[name] = values
		}
	}
	token, err := i.guard.Authenticate(ctx, rs.Call{
		Method: http.MethodPost, URL: i.guard.URL(method), Header: header, Message: message,
		Certificate: func() (*x509.Certificate, error) { return certificate(ctx), nil },
	}, rule)
	if err != nil {
		return nil, err
	}
	token.InteractionID = said[interactionName][0]
	return token, nil
}

// rule is that of a method, or of all of its service.
func (i *Interceptor) rule(method string) *rs.Rule {
	if rule := i.rules[method]; rule != nil {
		return rule
	}
	return i.rules[method[:strings.LastIndexByte(method, '/')+1]+"*"]
}

// certificate is the client's own, of the TLS connection, or nil.
func certificate(ctx context.Context) *x509.Certificate {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	tls, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(tls.State.PeerCertificates) == 0 {
		return nil
	}
	return tls.State.PeerCertificates[0]
}

// statusOf is the status of gRPC for an error of the guard.
func statusOf(err error) error {
	refused, ok := err.(*rs.Error)
	if !ok {
		return status.Error(codes.Internal, "the call cannot be judged")
	}
	code := codes.Unauthenticated
	switch refused.Status {
	case http.StatusForbidden:
		code = codes.PermissionDenied
	case http.StatusBadRequest:
		code = codes.InvalidArgument
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	}
	text := refused.Description
	if refused.Code != "" {
		text = refused.Code + ": " + text
	}
	return status.Error(code, text)
}
