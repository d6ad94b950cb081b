package authorize

import (
	"errors"
	"testing"

	"countersign/store"
)

// TestGrantNeedsApproval: nothing is granted without what only satisfied makes.
func TestGrantNeedsApproval(t *testing.T) {
	t.Parallel()
	finish, prepared, err := (&Handler{}).grant(t.Context(), approved{}, store.Finish{}, "decided")
	if !errors.Is(err, errNotApproved) || finish.Grant != nil || finish.Code != nil || prepared.parameters != nil {
		t.Errorf("granted %+v, %+v, %v", finish, prepared, err)
	}
}
