package backend

import (
	"errors"

	"countersign/store"
)

// CheckFinish refuses a code that names another grant than the one it is stored with, or none.
func CheckFinish(finish store.Finish) error {
	if finish.Code != nil && (finish.Grant == nil || finish.Grant.ID != finish.Code.GrantID) {
		return errors.New("the code does not name the grant that it is stored with")
	}
	return nil
}
