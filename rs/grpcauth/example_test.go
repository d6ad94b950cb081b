package grpcauth_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"countersign/rs"
	"countersign/rs/grpcauth"
)

// A gRPC server whose methods need scopes, and one of them a user who has just authenticated.
func Example() {
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: "https://login.bank.example", Audience: "https://api.bank.example", KeysURL: "https://login.bank.example/jwks",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := grpcauth.New(guard, grpcauth.Rules{
		"/bank.Accounts/*":    {rs.Scope("accounts")},
		"/bank.Payments/Send": {rs.Scope("payments"), rs.MaxAge(5 * time.Minute)},
	})
	server := grpc.NewServer(grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))
	defer server.Stop()

	_, err = auth.Unary(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: "/bank.Accounts/List"}, nil)
	fmt.Println(err)
	_, err = auth.Unary(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: "/bank.Admin/Delete"}, nil)
	fmt.Println(err)
	// Output:
	// rpc error: code = Unauthenticated desc = an access token is needed
	// rpc error: code = PermissionDenied desc = the method has no rule
}
