package examine_test

import (
	"testing"

	"countersign/fapi/fapitest"
)

func TestMain(m *testing.M) { fapitest.Main(m) }
