package logs_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"countersign/internal/logs"
)

// folders hold the product's code.
var folders = []string{"ciba", "cmd", "dpop", "fapi", "internal", "jar", "mtls", "signer", "store"}

// TestCatalogue: the sources and the catalogue say the same. Each failure says what to add or remove.
func TestCatalogue(t *testing.T) {
	calls, err := logs.Scan(os.DirFS("../.."), folders...)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range logs.Problems(calls, logs.Entries(), logs.Fields(), nil) {
		t.Error(problem)
	}
}

// TestPage: docs/logs.md is what the catalogue makes.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != logs.Page() {
		t.Error("docs/logs.md is not current; run: go run ./internal/logs/generate -write docs/logs.md")
	}
}

const source = `package p

const saved = "not saved"

func (s *Server) serve(ctx context.Context) {
	log := s.log.With("client_id", id)
	log.WarnContext(ctx, "not sent", "error", err, "attempt", 1)
	s.config.Logger.Error(saved, "error", err)
	s.logger(r).InfoContext(ctx, "sent")
	t.Error("no log call", "error")
	warn(log, "close failed", err)
	s.Log.LogAttrs(ctx, level, "request", attributes...)
	attributes = append(attributes, slog.String("outcome", o), slog.Int("status", 1))
}

func warn(log *slog.Logger, message string, err error) { log.Warn(message, "error", err.Error()) }

func computed(log *slog.Logger) { log.Error("x " + y, name, 1) }
`

func scan(t *testing.T) []logs.Call {
	t.Helper()
	calls, err := logs.Scan(fstest.MapFS{
		"a/p.go":           {Data: []byte(source)},
		"a/p_test.go":      {Data: []byte("not Go")},
		"a/testdata/x.go":  {Data: []byte("not Go")},
		"a/README.md":      {Data: []byte("not Go")},
		"b/not_scanned.go": {Data: []byte("not Go")},
	}, "a")
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

func TestScan(t *testing.T) {
	type call struct{ level, message, fields string }
	var got []call
	for _, each := range scan(t) {
		got = append(got, call{each.Level, each.Message, strings.Join(each.Fields, " ")})
	}
	want := []call{
		{"with", "", "client_id"},
		{"warn", "not sent", "attempt error"},
		{"error", "not saved", "error"},
		{"info", "sent", ""},
		{"any", "request", "outcome status"},
		{"error", "", "?"},
		{"warn", "close failed", "error"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if first := scan(t)[1]; first.Position != "a/p.go:7" || first.Function != "a.Server.serve" {
		t.Errorf("the second call is at %s in %s", first.Position, first.Function)
	}
}

func TestProblems(t *testing.T) {
	fields := []logs.Field{{"attempt", "n"}, {"client_id", "c"}, {"error", "e"}, {"outcome", "o"}, {"status", "s"}}
	entry := func(message, level string, names ...string) logs.Entry {
		return logs.Entry{Message: message, Levels: []string{level}, Fields: names, Cause: "c", Remedy: "r"}
	}
	complete := []logs.Entry{
		entry("not sent", "warn", "attempt", "error", "client_id"), entry("not saved", "error", "error"),
		entry("request", "error", "outcome", "status"), entry("close failed", "warn", "error"),
	}
	fine := []string{"a.computed"}
	named := "a/p.go:18: the name of a field must be a constant"
	for _, each := range []struct {
		name    string
		entries []logs.Entry
		fields  []logs.Field
		exempt  []string
		want    string
	}{
		{"complete", complete, fields, fine, ""},
		{"no constant", complete, fields, nil, "a/p.go:18: the message must be a constant; put what varies into fields"},
		{"no entry", complete[1:], fields, fine, `a/p.go:7: not in the catalogue; add: {Message: "not sent", Levels: []string{"warn"}, Fields: []string{"attempt", "error"}, Cause: "...", Remedy: "..."}`},
		{"nothing logs it", append(slices.Clone(complete), entry("gone", "warn")), fields, fine, `catalogue: remove "gone": nothing logs it`},
		{"twice", append(slices.Clone(complete), complete[1]), fields, fine, `catalogue: "not saved" has two entries`},
		{"another level", append(slices.Clone(complete[1:]), entry("not sent", "error", "attempt", "error")), fields, fine, `catalogue: "not sent": add the level warn`},
		{"field not listed in the entry", append(slices.Clone(complete[1:]), entry("not sent", "warn", "error")), fields, fine, `catalogue: "not sent": add the field "attempt"`},
		{"field nobody logs", append(slices.Clone(complete[1:]), entry("not sent", "warn", "attempt", "error", "kid")), fields, fine, `catalogue: "not sent": remove the field "kid"`},
		{"no remedy", append(slices.Clone(complete[1:]), logs.Entry{Message: "not sent", Levels: []string{"warn"}, Fields: []string{"attempt", "error"}}), fields, fine, `catalogue: "not sent" needs a cause and a remedy`},
		{"unknown field", complete, fields[1:], fine, `a/p.go:7: the field "attempt" is not in fields.go; use a name of that list, or add: {"attempt", "..."}`},
		{"unused field", complete, append(slices.Clone(fields), logs.Field{"kid", "k"}), fine, `fields.go: remove the field "kid": nothing logs it`},
		{"no snake case", complete, append(slices.Clone(fields), logs.Field{"keyID", "k"}), fine, `fields.go: "keyID" is not in snake_case`},
		{"exempt without need", complete, fields, append(slices.Clone(fine), "a.warn"), "remove the exemption of a.warn: its messages are constants"},
	} {
		t.Run(each.name, func(t *testing.T) {
			got := logs.Problems(scan(t), each.entries, each.fields, each.exempt)
			got = slices.DeleteFunc(got, func(problem string) bool { return problem == named })
			switch {
			case each.want == "" && len(got) > 0:
				t.Errorf("got %q", got)
			case each.want != "" && !slices.Contains(got, each.want):
				t.Errorf("got %q, want %q", got, each.want)
			}
		})
	}
	if len(logs.Problems(nil, complete, fields, nil)) != 1 {
		t.Error("an empty tree is no problem")
	}
}
