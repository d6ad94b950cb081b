package serve

import (
	"context"
	"errors"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/internal/config"
	"countersign/internal/hsm"
)

// Check reports why a server with this configuration would not start, as far as that shows without opening its database,
// its HSM and its ports: every file that is named is read. The error is a [*config.Report] of all problems. [Run] begins
// with it, and whoever else judges a configuration uses it too.
func Check(ctx context.Context, c *config.Config, now func() time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // nothing is read again
	s := examiner(c, now)
	_, chain := auditChain(c)
	_, certificate := Certificate(c.Listen)
	_, gate := newGate(c.ListenMTLS, now)
	_, headers := traceHeaders(c.Telemetry)
	problems := []error{chain, certificate, gate, headers, hsm.Approved(c.Signer)}
	offered, err := s.offered(ctx)
	problems = append(problems, err)
	if err == nil {
		problems = append(problems, offered.Check())
	}
	return c.Refuse(withoutPackage(errors.Join(problems...)))
}

// Offered are the settings of a server with this configuration, as far as the configuration says them.
func Offered(ctx context.Context, c *config.Config, now func() time.Time) (fapi.Config, error) {
	return examiner(c, now).offered(ctx)
}

// withoutPackage leaves out the name of the package in front of a problem: the operator looks for a key.
func withoutPackage(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll("\n"+err.Error(), "\nfapi: ", "\n")[1:])
}
