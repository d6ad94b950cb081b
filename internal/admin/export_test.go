package admin

import (
	"reflect"
	"testing"
	"time"

	"countersign/store"
)

// TestExportedWhole: every kind of record that the store has of a user is in the export. A field that is added to
// store.UserData fails here until it is.
func TestExportedWhole(t *testing.T) {
	var person store.UserData
	kinds := 0
	records := reflect.ValueOf(&person).Elem()
	for i := range records.NumField() {
		if field := records.Field(i); field.Kind() == reflect.Slice {
			kinds++
			field.Set(reflect.MakeSlice(field.Type(), kinds, kinds)) // each kind another number of records
		}
	}
	lengths := map[int]int{}
	data := reflect.ValueOf(exported("subject", person, time.Now()))
	for i := range data.NumField() {
		if field := data.Field(i); field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct {
			lengths[field.Len()]++
		}
	}
	for n := 1; n <= kinds; n++ {
		if lengths[n] != 1 {
			t.Errorf("of the %d kinds of records the one with %d is exported %d times", kinds, n, lengths[n])
		}
	}
	if kinds < 8 {
		t.Errorf("only %d kinds of records were found", kinds)
	}
}
