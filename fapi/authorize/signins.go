package authorize

import (
	"context"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/event"
)

// SignInFailed implements [Actions].
func (o *openInteraction) SignInFailed(ctx context.Context, problem browser.Problem) (int, error) {
	failures, err := o.handler.store.SignInFailed(ctx, o.pending.Interaction.ID, o.signInFailed(ctx, problem))
	if err == nil {
		o.pending.Interaction.SignInFailures = failures
	}
	return failures, err
}

// SignInThrottled implements [Actions].
func (o *openInteraction) SignInThrottled(ctx context.Context, problem browser.Problem) {
	o.handler.evidence.ProvokedEvent(ctx, o.client.ID, event.SignInThrottled, "reason", string(problem.Code),
		"interaction", digestText(o.pending.Interaction.ID))
}

// ConsentShown implements [Actions].
func (o *openInteraction) ConsentShown(ctx context.Context) error {
	if o.session == nil {
		return nil
	}
	id := digestText(o.pending.Interaction.ID)
	showing := id + "\x00" + o.session.Subject + "\x00" + o.showing
	if o.handler.showings.Has(showing) {
		return nil
	}
	err := o.handler.evidence.Record(ctx, o.handler.evidence.Event(ctx, o.client.ID, event.ConsentShown,
		"subject", o.session.Subject, "shown", o.showing, "language", o.language, "scope", strings.Join(o.request.Scopes, " "), "interaction", id))
	if err == nil {
		o.handler.showings.Add(showing)
	}
	return err
}
