package backchannel_test

import (
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
)

// pendingOf lists what waits for a user.
func pendingOf(w *fapitest.World, subject string) []backchannel.View {
	w.T.Helper()
	views, err := w.Server.Backchannel().Pending(w.T.Context(), subject)
	if err != nil {
		w.T.Fatal(err)
	}
	return views
}
