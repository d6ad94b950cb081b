package serve

import (
	"context"
	"errors"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/internal/config"
	"countersign/internal/hsm"
	"countersign/internal/issuers"
)

// Check reports why a server with this configuration would not start, as far as that shows without opening its database,
// its HSM and its ports: every file that is named is read. The error is a [*config.Report] of all problems. [Run] begins
// with it, and whoever else judges a configuration uses it too.
func Check(ctx context.Context, c *config.Config, now func() time.Time) error {
	_, chain := auditChain(c)
	_, gate := newGate(c.ListenMTLS, now)
	_, headers := traceHeaders(c.Telemetry)
	problems := []error{chain, gate, headers, checkIssuer(ctx, c, now)}
	if len(c.Issuers) > 0 {
		all, err := issuers.Load(c)
		problems = append(problems, err)
		if err == nil {
			problems = append(problems, checkEach(ctx, all[1:], now)...)
		}
	}
	return c.Refuse(errors.Join(problems...))
}

// checkIssuer is [Check] of what belongs to an issuer.
func checkIssuer(ctx context.Context, c *config.Config, now func() time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // nothing is read again
	_, certificate := Certificate(c.Listen)
	offered, err := examiner(c, now).offered(ctx)
	problems := []error{certificate, hsm.Approved(c.Signer), err}
	if err == nil {
		problems = append(problems, offered.Check())
	}
	return withoutPackage(errors.Join(problems...))
}

// checkEach is checkIssuer of the issuers beside that of the main file. A problem begins with the key of the main file that names its
// issuer.
func checkEach(ctx context.Context, all []issuers.Issuer, now func() time.Time) []error {
	var problems []error
	for _, one := range all {
		problems = append(problems, issuers.Prefixed(one.Key, one.Config.Refuse(checkIssuer(ctx, one.Config, now))))
	}
	return problems
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
