package account

import (
	"context"
	"errors"

	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/tokens"
	"countersign/store"
)

// agreed puts the consent by which a grant was made into words; nothing for a grant without one, or of which the consent is not known
// any more. unreadable reports that there are no words for it.
func (c content) agreed(ctx context.Context, by *tokens.Consent, to browser.Client, language string) (views []display.View, unreadable bool, err error) {
	if by == nil {
		return nil, false, nil
	}
	lodged, err := c.store.LodgedConsent(ctx, to.ID, by.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	views, err = c.consents.View(&lodged, language, to.Asker())
	return views, err != nil, nil
}
