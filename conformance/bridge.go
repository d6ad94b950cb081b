package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// bridge answers backchannel requests for the user of the plans: in CI nobody holds a telephone. It is an application that
// was enrolled as the user's device, and it uses the API that any such application uses: the server has no door for tests.
type bridge struct {
	app      *flowclient.ApprovalApp
	progress func(format string, arguments ...any)
}

// startBridge enrols a device with a code that a command prints, and listens on loopback for the suite's calls. It gives
// the address for the suite, in which the suite replaces {auth_req_id} and {action}.
func startBridge(ctx context.Context, o options, s server, progress func(string, ...any)) (address string, stop func(), err error) {
	roots, _, err := serverTrust(o)
	if err != nil {
		return "", nil, err
	}
	b, err := newBridge(s, flowclient.NewHTTP(roots), progress)
	if err != nil {
		return "", nil, err
	}
	if err := b.enrol(ctx, o); err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // it ends with stop
	progress("bridge  answers for %s as an enrolled device", o.user)
	return "http://" + listener.Addr().String() + "/?auth_req_id={auth_req_id}&action={action}", func() { _ = server.Close() }, nil
}

// newBridge makes an application with a key of its own.
func newBridge(s server, through *http.Client, progress func(string, ...any)) (*bridge, error) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	client := flowclient.New(flowclient.Config{Issuer: s.issuer, HTTP: through, ProofKey: key})
	return &bridge{&flowclient.ApprovalApp{Client: client, ACR: s.acr, AMR: "hwk user"}, progress}, nil
}

// enrol makes the bridge a device of the user.
func (b *bridge) enrol(ctx context.Context, o options) error {
	arguments := strings.Fields(strings.ReplaceAll(o.deviceCode, "{user}", o.user))
	if len(arguments) == 0 {
		return errors.New("-device-code: there is no command")
	}
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		return fmt.Errorf("-device-code: %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(problems.String()))
	}
	return b.app.Enroll(ctx, strings.TrimSpace(string(output)), "Conformance run")
}

// ServeHTTP takes a call of the suite and answers the request as a device.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.answer(r.Context(), r.URL.Query().Get("auth_req_id"), r.URL.Query().Get("action")); err != nil {
		b.progress("bridge  %v", err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *bridge) answer(ctx context.Context, authReqID, action string) error {
	request, err := b.app.Request(ctx, authReqID)
	if err != nil {
		return err
	}
	reply, err := b.app.Decide(ctx, request, action == "allow")
	if err != nil {
		return err
	}
	if reply.Status/100 != 2 {
		return reply.Expect(http.StatusOK)
	}
	return nil
}
