//go:build cgo && !nopkcs11 && hsm

package pkcs11_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"countersign/signer/signertest"
)

// TestMatrix holds every module that runs here to the one contract, and prints what came out.
func TestMatrix(t *testing.T) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	columns := []string{"module"}
	for _, alg := range signertest.Algorithms() {
		columns = append(columns, string(alg))
	}
	fmt.Fprintln(table, strings.Join(append(columns, "one mechanism", "no decryption", "worker killed", "token away"), "\t"))
	for _, c := range []candidate{softHSM(), behindP11Kit(), kryoptic(), openCryptoki(), nss(), tpm()} {
		var result outcome
		if !t.Run(c.Name, func(t *testing.T) { result = c.hold(t) }) {
			c.Name += " (FAILED)"
		}
		fmt.Fprintln(table, strings.Join(result.row(c.Module), "\t"))
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("what each module does; \"no\" is what it is known not to do, and refuses\n\n" + text.String())
}

// row is a line of the table: yes and no are as they are known to be, and anything else is a failure.
func (o outcome) row(m signertest.Module) []string {
	cells := []string{m.Name}
	for _, alg := range signertest.Algorithms() {
		switch {
		case !slices.Contains(m.Has, alg):
			cells = append(cells, "no")
		case o.kept[alg]:
			cells = append(cells, "yes")
		default:
			cells = append(cells, "FAILED")
		}
	}
	known := map[bool]string{true: "yes", false: "no"}
	cells = append(cells, known[!m.Unpinned], known[!m.ClaimsDecrypt])
	for _, good := range []bool{o.killed, o.away} {
		cells = append(cells, map[bool]string{true: "yes", false: "FAILED"}[good])
	}
	return cells
}
