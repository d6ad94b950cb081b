package examine_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/examine"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/internal/oauth"
)

// examiner is one of a world's configuration.
func examiner(t *testing.T, w *fapitest.World) *examine.Examiner {
	t.Helper()
	e, err := fapi.Examine(t.Context(), w.Config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// agree fails unless the server answered as the report says.
func agree(t *testing.T, what string, report *examine.Report, err error, answer fapitest.Reply) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	served := answer.Status == http.StatusOK || answer.Status == http.StatusCreated
	if report.Accepted != served || report.Error != answer.Text("error") || oauth.Printable(report.Text) != answer.Text("error_description") {
		t.Errorf("%s: the report says %v %s %q, and the server %d %s", what, report.Accepted, report.Error, report.Text, answer.Status, answer.Raw)
	}
	for _, f := range report.Findings {
		if f.Section == "" || !f.Accepted && (f.Remedy == "" || f.Text == "") {
			t.Errorf("%s: nothing explains %+v", what, f)
		}
	}
}

// values are what a claim is changed to: nil is to leave it out.
func values(now time.Time) []any {
	offset := func(d time.Duration) int64 { return now.Add(d).Unix() }
	return []any{
		nil, "", "x", strings.Repeat("x", 300), 0, -1, true, []any{}, []any{"x"}, map[string]any{}, json.Number("1.5"), "\u0000", "é",
		offset(-24 * time.Hour), offset(-61 * time.Second), offset(-time.Second), offset(0), offset(29 * time.Second), offset(31 * time.Second),
		offset(time.Minute), offset(2 * time.Hour),
	}
}

// mutants are texts that differ a little from one.
func mutants(token string, n int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "ABCDEFGHabcdefgh0123456789-_.= "
	all := []string{"", ".", "..", token + ".", "." + token, token + "A", token[1:], strings.Repeat("A", 20_000)}
	for range n {
		text := []byte(token)
		for range 1 + random.IntN(2) {
			text[random.IntN(len(text))] = alphabet[random.IntN(len(alphabet))]
		}
		all = append(all, string(text))
	}
	return all
}

func pemOf(der []byte) string {
	return "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(der) + "\n-----END CERTIFICATE-----\n"
}

// joseData is where the inputs of the tests of package jose are.
const joseData = "../../internal/jose/testdata/"

// malformed are tokens that are none.
func malformed(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(joseData + "malformed.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		_, quoted, found := strings.Cut(strings.TrimSpace(line), " ")
		token, err := strconv.Unquote(quoted)
		if !found || err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, token)
	}
	return all
}

// headers are those of tokens that attack.
func headers(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(joseData + "malformed-jwt/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var attack struct {
				Header string `json:"header"`
			}
			if json.Unmarshal([]byte(line), &attack) == nil && attack.Header != "" {
				all = append(all, attack.Header)
			}
		}
	}
	return all
}

// sorted are the names of members.
func sorted(members map[string]string) []string { return slices.Sorted(maps.Keys(members)) }

// keySetOf is a key set as its owner publishes it.
func keySetOf(keys ...jose.PrivateKey) []byte {
	var all [][]byte
	for _, key := range keys {
		all = append(all, key.PublicJWK())
	}
	return fapitest.KeySet(all...)
}
