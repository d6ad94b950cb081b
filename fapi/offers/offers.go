// Package offers fills the lists of authorization_details that a request leaves to be offered to its user, such as which of the user's
// own accounts: by what the operator's login said of them, or the API for claims about users (docs/authorization-details.md). Nothing
// that was offered before is used when a source is away.
package offers

import (
	"context"
	"errors"
	"log/slog"

	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/internal/correlation"
	"countersign/internal/oauth"
)

// Offers fills lists.
type Offers struct {
	Types *rar.Types
	Users *claims.Users
	Log   *slog.Logger
}

// FromClaims returns details with the accounts of a user in the lists that the claims source offers, and these accounts; as they are
// without such lists. Errors are those of [Refusal], or internal.
func (o *Offers) FromClaims(ctx context.Context, q claims.Question, d rar.Details) (rar.Details, []display.Offered, error) {
	types := d.Open(o.Types, rar.FromClaims)
	if len(types) == 0 {
		return d, nil, nil
	}
	q.Purpose = claims.ForConsent
	accounts, err := o.Users.Accounts(ctx, q, types)
	if errors.Is(err, claims.ErrUserGone) {
		return d, nil, rar.ErrNothingOffered
	}
	if err != nil {
		return d, nil, err
	}
	err = rar.CheckOffered(accounts)
	filled := d
	if err == nil {
		filled, err = d.Offered(o.Types, rar.FromClaims, accounts)
	}
	if err != nil && !errors.Is(err, rar.ErrNothingOffered) {
		o.Log.ErrorContext(ctx, "claims source offered accounts that do not fit", "correlation_id", correlation.ID(ctx), "client_id", q.ClientID,
			"error", err.Error())
		return d, nil, away(err)
	}
	return filled, accounts, err
}

// FromLogin returns details with the accounts that the login told in the lists that it offers.
func (o *Offers) FromLogin(d rar.Details, told []display.Offered) (rar.Details, error) {
	return d.Offered(o.Types, rar.FromLogin, told)
}

// CheckLogin checks what the login tells of the accounts of a user who has just signed in: it tells those of the types of which the
// details leave lists to be offered, and of no others. Errors are *[oauth.Error] with invalid_request.
func (o *Offers) CheckLogin(d rar.Details, told []display.Offered, said bool) error {
	types := d.Open(o.Types, rar.FromLogin)
	refuse := func(format string, arguments ...any) error {
		return oauth.Errorf(oauth.InvalidRequest, "accounts: "+format, arguments...)
	}
	switch {
	case len(types) > 0 && !said:
		return refuse("missing; this login offers the accounts of the types %v, an empty list if the user has none", types)
	case len(types) == 0 && said:
		return refuse("nothing of this request has accounts that the login offers; leave it out")
	}
	if err := rar.CheckOffered(told); err != nil {
		return refuse("%s", err)
	}
	_, err := o.FromLogin(d, told)
	if misfit, ok := errors.AsType[*rar.MisfitError](err); ok {
		return refuse("%s", misfit)
	}
	return nil
}

// away is the error of a source whose accounts cannot be used.
func away(err error) *oauth.Error {
	return oauth.Errorf(oauth.TemporarilyUnavailable, "the accounts of the user cannot be read at the moment; try again later").Because(err)
}

// Refusal is what the client is told when nothing can be offered: temporarily_unavailable while the source is away, access_denied when
// the user has nothing to choose. ok is false for any other error.
func Refusal(err error) (told *oauth.Error, problem browser.ProblemCode, ok bool) {
	if errors.Is(err, rar.ErrNothingOffered) {
		return oauth.Errorf(oauth.AccessDenied, "the user has nothing that could be chosen for these authorization_details").Because(err),
			browser.NothingOffered, true
	}
	if refused, is := errors.AsType[*oauth.Error](err); is && refused.Code == oauth.TemporarilyUnavailable {
		told := away(err)
		told.RetryAfter = refused.RetryAfter
		return told, browser.AccountsAway, true
	}
	return nil, "", false
}
