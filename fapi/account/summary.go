package account

import (
	"context"
	"slices"

	"countersign/store"
)

// sayBy adds who ended the last of each.
func (c content) sayBy(ctx context.Context, subject string, all []Access) error {
	for i := range all {
		given, err := c.store.ListGiven(ctx, subject, all[i].Client.ID, store.Page{Limit: summarised})
		if err != nil {
			return err
		}
		for _, each := range given {
			if state, ended := c.stateOf(each); ended.Equal(all[i].EndedAt) {
				all[i].EndedBy = state
			}
		}
	}
	return nil
}

// summarise adds the newest grants that are left, with their details in a language.
func (c content) summarise(ctx context.Context, subject, language string, all []Access) error {
	for i := range all {
		grants, _, err := c.grants(ctx, subject, all[i].Client, language, store.Page{Limit: summarised})
		if err != nil {
			return err
		}
		all[i].Grants = slices.DeleteFunc(grants, func(g Grant) bool { return g.State != Active })
	}
	return nil
}
