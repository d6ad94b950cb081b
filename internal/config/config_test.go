package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares text with a file, or writes the file with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
	}
}

func TestReport(t *testing.T) {
	files, err := filepath.Glob("testdata/report/*.toml")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			config, err := LoadValues(file)
			report, ok := errors.AsType[*Report](err)
			if !ok || config != nil {
				t.Fatalf("got %v and %v, want a report alone", config, err)
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".golden", report.Error()+"\n")
			for _, secret := range []string{"4711", "1234", "postgres://"} {
				if strings.Contains(report.Error(), secret) {
					t.Errorf("the report holds the secret %s", secret)
				}
			}
		})
	}
}

func TestEffectiveValues(t *testing.T) {
	config, err := LoadValues("testdata/good.toml")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/good.golden", config.Print())
	if got := config.Tokens.GrantLifetime.Std(); got != 90*24*time.Hour {
		t.Errorf("the default of grant_lifetime is %v", got)
	}
	if got := config.Listen.KeyFile; got != "testdata/tls/server.key" {
		t.Errorf("a relative file name became %q", got)
	}
}

// TestPrintReadsBack checks Print with the parser: what it writes is the same configuration.
func TestPrintReadsBack(t *testing.T) {
	config, err := LoadValues("testdata/good.toml")
	if err != nil {
		t.Fatal(err)
	}
	// Secrets that cannot be opened here are covered by Print.
	config.Listen.KeyFile, config.Signer.PINFile = "credential:key", "credential:pin"
	again, err := parse("again.toml", []byte(config.Print()), false)
	if err != nil {
		t.Fatal(err)
	}
	config.resolve()
	if diff := cmp.Diff(config, again, cmpopts.IgnoreUnexported(Config{}), cmpopts.IgnoreTypes(File(""))); diff != "" {
		t.Error(diff)
	}
}

func TestPrintCoversWhatMayBeASecret(t *testing.T) {
	document := strings.Replace(read(t, "testdata/good.toml"), `"hsm/pin"`, `"4711"`, 1)
	config, err := parse("c.toml", []byte(document), false)
	if err != nil {
		t.Fatal(err)
	}
	if text := config.Print(); strings.Contains(text, "4711") || !strings.Contains(text, `pin_file = "[redacted]"`) {
		t.Errorf("the PIN is not covered:\n%s", text)
	}
}

// TestFiles holds Load to looking at every file that is named.
func TestFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(folder, name), mode); err != nil { // the umask is not ours
			t.Fatal(err)
		}
	}
	write("server.crt", "x", 0o644)
	write("server.key", "x", 0o600)
	write("module.so", "x", 0o755)
	write("pin", "4711\n", 0o600)
	document := `issuer = "https://login.example"
[listen]
certificate_file = "server.crt"
key_file = "server.key"
[store]
file = "countersign.db"
[signer]
module = "module.so"
token = "t"
pin_file = "pin"
environment.SOFTHSM2_CONF = "./softhsm2.conf"
`
	write("good.toml", document, 0o644)
	config, err := Load(filepath.Join(folder, "good.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if pin, err := config.Signer.PINFile.Read(); err != nil || string(pin) != "4711" {
		t.Errorf("read the PIN %q, %v", pin, err)
	}
	if got, want := config.Signer.Environment["SOFTHSM2_CONF"], filepath.Join(folder, "softhsm2.conf"); got != want {
		t.Errorf("the environment's file name is %q, want %q", got, want)
	}

	write("open.key", "x", 0o644)
	replaced := strings.NewReplacer(`"server.crt"`, `"gone.crt"`, `"server.key"`, `"open.key"`,
		`"countersign.db"`, `"gone/countersign.db"`, `"module.so"`, `"."`, `"pin"`, `"4711"`).Replace(document)
	write("bad.toml", replaced, 0o644)
	_, err = Load(filepath.Join(folder, "bad.toml"))
	report, ok := errors.AsType[*Report](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	golden(t, "testdata/files.golden", strings.ReplaceAll(report.Error(), folder, "FOLDER")+"\n")
}

func TestMissingFileIsNoReport(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "absent.toml"))
	if _, ok := errors.AsType[*Report](err); ok || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestIssuer covers RFC 8414 §2.
func TestIssuer(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://login.example": true, "https://login.example/tenant/1": true, "https://localhost:8443": true,
		"https://[::1]:8443": true,
		"":                   false, "login.example": false, "https:login.example": false, "http://login.example": false,
		"https://login.example/": false, "https://login.example?": false, "https://login.example?a=b": false,
		"https://login.example#": false, "https://login.example#x": false, "https://u:p@login.example": false,
		"https://Login.example": false, "https://login.example/a/../b": false, "https://login.example//a": false,
		"https://login.example:0": false, "https://login.example:": false, "https://login.example:99999": false,
		"HTTPS://login.example": false, "https://": false, "https://login.example/a b": false,
	} {
		c := &collector{wrong: map[string]bool{}}
		c.issuer("issuer", issuer)
		if got := len(c.problems) == 0; got != good {
			t.Errorf("%q: accepted is %v, want %v (%v)", issuer, got, good, c.problems)
		}
	}
}

// TestTags finds keys whose tags cannot be read, and keys without a description.
func TestTags(t *testing.T) {
	for _, key := range knownKeys("", reflect.TypeFor[Config]()) {
		if strings.ToLower(key) != key {
			t.Errorf("%s is not in lower case", key)
		}
	}
	new(Config).eachField(func(key string, field reflect.StructField, value reflect.Value) {
		if doc := field.Tag.Get("doc"); !strings.HasSuffix(doc, ".") {
			t.Errorf("%s: the description %q is no sentence", key, doc)
		}
		if text, ok := field.Tag.Lookup("default"); ok {
			setDefault(value, key, text)
		}
		if field.Type == reflect.TypeFor[Duration]() {
			least, most := mustDuration(field.Tag.Get("min")), mustDuration(field.Tag.Get("max"))
			if got := Duration(value.Int()); got < least || got > most {
				t.Errorf("%s: the default %v is not within %v and %v", key, got, least, most)
			}
		}
	})
}

// TestSchema checks the schema with documents that Load knows.
func TestSchema(t *testing.T) {
	golden(t, "testdata/schema.golden.json", string(Schema()))
	schema := compiledSchema()
	for file, good := range map[string]bool{
		"good.toml": true, "good.golden": true,
		"report/unknown.toml": false, "report/values.toml": false, "report/shapes.toml": false, "report/empty.toml": false,
	} {
		var tree map[string]any
		if err := toml.Unmarshal([]byte(read(t, filepath.Join("testdata", file))), &tree); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(instance(tree)); (err == nil) != good {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/report/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/good.toml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		config, err := parse("fuzz.toml", document, false)
		if err != nil {
			report, ok := errors.AsType[*Report](err)
			if !ok || len(report.Problems) == 0 || config != nil {
				t.Fatalf("got %v and %v", config, err)
			}
			for _, problem := range report.Problems {
				if strings.ContainsAny(problem.Value+problem.Key, "\n\r") {
					t.Errorf("a problem takes more than one line: %q", report.Error())
				}
			}
			return
		}
		if again, err := parse("fuzz.toml", []byte(config.Print()), false); err != nil {
			t.Fatalf("what was printed does not read back: %v\n%s", err, config.Print())
		} else if again.Print() != config.Print() {
			t.Errorf("printed\n%s\nand, read back,\n%s", config.Print(), again.Print())
		}
	})
}

// TestReplicas: a replica takes from [signer] what it leaves out, and is a token of its own.
func TestReplicas(t *testing.T) {
	document := `issuer = "https://login.example"
[listen]
certificate_file = "server.crt"
key_file = "server.key"
[store]
file = "countersign.db"
[signer]
module = "/m.so"
token = "t"
pin_file = "pin"
[[signer.replicas]]
token = "other"
pin_file = "pin2"
[signer.replicas.environment]
A_FILE = "./a.conf"
`
	config, err := parse("c.toml", []byte(document), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Signer.Replicas; len(got) != 1 || got[0].Token != "other" || got[0].PINFile != "pin2" || !filepath.IsAbs(got[0].Environment["A_FILE"]) {
		t.Errorf("read %+v", got)
	}
	for name, written := range map[string]string{"Print": config.Print(), "Commented": config.Commented()} {
		again, err := parse("c.toml", []byte(strings.ReplaceAll(written, "[redacted]", "x")), false)
		if err != nil || len(again.Signer.Replicas) != 1 || again.Signer.Replicas[0].Environment["A_FILE"] != config.Signer.Replicas[0].Environment["A_FILE"] {
			t.Errorf("what %s writes does not read back: %v\n%s", name, err, written)
		}
	}
	for name, change := range map[string][2]string{
		"the same token twice":   {"token = \"other\"\npin_file = \"pin2\"\n[signer.replicas.environment]\nA_FILE = \"./a.conf\"", "token = \"t\""},
		"no token":               {"token = \"other\"", ""},
		"a PIN in the variables": {"A_FILE", "MY_PIN"},
		"a label too long":       {"other", strings.Repeat("x", 33)},
	} {
		if _, err := parse("c.toml", []byte(strings.Replace(document, change[0], change[1], 1)), false); err == nil || !strings.Contains(err.Error(), "signer.replicas[0]") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Two databases of NSS have one label and one module.
	same := `token = "t"
module_parameters = "configdir='b'"`
	if _, err := parse("c.toml", []byte(strings.Replace(document, "token = \"other\"\npin_file = \"pin2\"\n[signer.replicas.environment]\nA_FILE = \"./a.conf\"", same, 1)), false); err != nil {
		t.Errorf("the same label with other parameters: %v", err)
	}
}

// TestCommented checks the file that init writes with the parser.
func TestCommented(t *testing.T) {
	c := &Config{
		Issuer:    "https://login.example",
		Listen:    Listen{Address: "127.0.0.1:8443", CertificateFile: "tls/server.crt", KeyFile: "tls/server.key"},
		Store:     Store{Driver: "sqlite", File: "countersign.db"},
		Signer:    Signer{Module: "/m.so", Token: "t", PINFile: "pin", Environment: map[string]string{"SOFTHSM2_CONF": "./softhsm2.conf"}},
		Telemetry: Telemetry{LogFormat: "text"},
		Resources: Resources{SampleAccounts: true},
		Scopes:    []Scope{{Name: "accounts", Description: "See your accounts"}},
	}
	golden(t, "testdata/commented.golden.toml", c.Commented())
	read, err := parse("c.toml", []byte(c.Commented()), false)
	if err != nil {
		t.Fatal(err)
	}
	if read.Issuer != c.Issuer || read.Telemetry.LogFormat != "text" || !read.Resources.SampleAccounts || len(read.Scopes) != 1 ||
		read.Tokens.CodeLifetime != mustDuration("60s") || read.Store.File != c.Store.File {
		t.Errorf("read back %+v", read)
	}
	if _, err := parse("c.toml", []byte(new(Config).Commented()), false); err == nil {
		t.Error("a file without the required keys is read")
	} else if !strings.Contains(err.Error(), "issuer") {
		t.Errorf("got %v", err)
	}
}

// TestDevelopmentKeys: software keys are for one machine and for nothing beside an HSM; an HSM needs its module and token.
func TestDevelopmentKeys(t *testing.T) {
	document := func(issuer, signer string) []byte {
		return fmt.Appendf(nil, `issuer = %q
[listen]
address = "127.0.0.1:8443"
certificate_file = "c"
key_file = "k"
[store]
driver = "sqlite"
file = "db"
[signer]
pin_file = "pin"
%s
`, issuer, signer)
	}
	const keys = `development_key_file = "keys"` + "\n"
	const hsm = "module = \"m\"\ntoken = \"t\"\n"
	for _, test := range []struct{ issuer, signer, want string }{
		{"https://localhost:8443", keys, ""},
		{"https://login.localhost", keys, ""},
		{"https://127.0.0.1:8443", keys, ""},
		{"https://[::1]:8443/path", keys, ""},
		{"https://login.example", hsm, ""},
		{"https://login.example", hsm + `backend = "crypto11"`, ""},
		{"https://login.example", keys, "signer.development_key_file = \"keys\": development keys are only for an issuer on this machine"},
		{"https://localhost.example", keys, "only for an issuer on this machine"},
		{"https://notlocalhost", keys, "only for an issuer on this machine"},
		{"https://10.0.0.1", keys, "only for an issuer on this machine"},
		{"https://localhost", keys + `module = "m"`, "there is an HSM too (signer.module)"},
		{"https://localhost", keys + `token = "t"`, "there is an HSM too (signer.token)"},
		{"https://localhost", keys + `environment.A = "b"`, "there is an HSM too (signer.environment)"},
		{"https://localhost", keys + `backend = "crypto11"`, "there is an HSM too (signer.backend)"},
		{"https://localhost", keys + "[[signer.replicas]]\ntoken = \"t\"", "there is an HSM too (signer.replicas)"},
		{"https://localhost", `development_key_file = ""`, "signer.token: missing"},
		{"https://login.example", `module = "m"`, "signer.token: missing"},
		{"https://login.example", `token = "t"`, "signer.module: missing"},
		{"https://login.example", hsm + `backend = "file"`, `not one of "worker", "crypto11"`},
		{"https://login.example", hsm + "backend = \"crypto11\"\n[[signer.replicas]]\ntoken = \"u\"", "signer.backend = \"crypto11\": crypto11 is for one token alone"},
	} {
		_, err := parse("c.toml", document(test.issuer, test.signer), false)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s with %s: %v", test.issuer, test.signer, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s with %s: %v, want %s", test.issuer, test.signer, err, test.want)
		}
	}
}
