package upstream

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/internal/oauth"
	"countersign/rp/client"
	"countersign/store"
)

// begin sends the browser of an interaction to the provider.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) {
	query, err := oauth.ReadQuery(r)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	handle := query.Get("handle")
	if err := h.here(r, handle); err != nil {
		h.showError(w, r, err)
		return
	}
	asked, err := h.Interactions.HandedOff(r, handle)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	provider, err := h.provider.client(r.Context())
	if err != nil {
		h.showError(w, r, err)
		return
	}
	address, begun, err := provider.Authorize(r.Context(), h.options(asked))
	if err != nil {
		h.refused(w, r, err)
		return
	}
	err = h.remember(w, r, transaction{Client: begun, Handle: handle, Interaction: asked.ConsentID})
	if err != nil {
		h.showError(w, r, err)
		return
	}
	browser.SeeOther(w, address)
}

// here demands that the browser is the one of the interaction: nobody is to sign in for somebody else's.
func (h *Handler) here(r *http.Request, handle string) error {
	handOff, err := h.Store.HandOff(r.Context(), store.DigestOf(handle))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequest, "there is no such page; start again in the application").WithStatus(http.StatusNotFound).Because(err)
	case err != nil && !errors.Is(err, store.ErrConsumed) && !errors.Is(err, store.ErrExpired): // these are said by HandedOff
		return err
	}
	known, err := browser.Known(r)
	digest := store.DigestOf(known)
	if err != nil || subtle.ConstantTimeCompare(digest[:], handOff.Browser[:]) != 1 {
		return oauth.Errorf(oauth.InvalidRequest,
			"this page belongs to another browser, or cookies are off; nothing was allowed").Because(errors.Join(http.ErrNoCookie, err))
	}
	return nil
}

// longest is how long ago a user may have signed in at the provider; handoff's bound is a little longer, for the time at the provider.
const longest = 23 * time.Hour

// options are what the interaction asks of the sign-in. What the provider answers is checked against it here and in package authorize:
// acr by the classes, which name it differently.
func (h *Handler) options(asked authorize.HandedOff) client.AuthorizeOptions {
	age := longest
	if asked.MaxAge != nil && *asked.MaxAge < int64(longest/time.Second) {
		age = time.Duration(*asked.MaxAge) * time.Second
	}
	options := client.AuthorizeOptions{
		ACRValues: h.Settings.wanted(slices.Concat(asked.EssentialACRs, asked.ACRs)), ACRVoluntary: true, MaxAge: &age,
		UILocales: strings.Fields(asked.UILocales), LoginHint: asked.LoginHint,
	}
	for _, prompt := range asked.Prompt {
		if prompt == "login" || prompt == "select_account" { // consent is asked here
			options.Prompt = append(options.Prompt, prompt)
		}
	}
	return options
}

// wanted are the provider's names of classes.
func (s Settings) wanted(classes []string) []string {
	var all []string
	for _, wanted := range classes {
		for _, class := range s.Classes {
			if class.ACR == wanted && class.Upstream != "" && !slices.Contains(all, class.Upstream) {
				all = append(all, class.Upstream)
			}
		}
	}
	return all
}
