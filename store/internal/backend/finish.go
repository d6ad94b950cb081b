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
	return CheckReplaced(finish.Replaces, finish.Grant)
}

// CheckReplaced checks that what replaces a grant is one with the name of a managed one.
func CheckReplaced(replaces string, grant *store.Grant) error {
	if replaces != "" && (grant == nil || grant.ManagedID == "" || grant.ID == replaces) {
		return errors.New("a grant is replaced by none, or by one without its name")
	}
	return nil
}
