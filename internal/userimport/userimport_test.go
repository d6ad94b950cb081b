package userimport

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"countersign/fapi/claims"
)

func text(s string) json.RawMessage { return json.RawMessage(`"` + s + `"`) }

// Covers: KB-04. What can be imported is read from CSV and from JSON alike.
func TestRead(t *testing.T) {
	t.Parallel()
	disabled := true
	want := []User{
		{Line: 2, Username: "alice", Subject: "s-1", PasswordHash: "$argon2id$", Claims: map[string]json.RawMessage{
			"name": text("Alice, Example"), "email_verified": json.RawMessage("true"), "updated_at": json.RawMessage("1700000000")}},
		{Line: 3, Username: "bob", Password: "correct horse battery staple", Disabled: &disabled, Claims: map[string]json.RawMessage{"locale": text("pt-BR")}},
	}
	for name, file := range map[string]string{
		"CSV": "username,subject,password,password_hash,disabled,name,email_verified,updated_at,locale\n" +
			"alice,s-1,,$argon2id$,,\"Alice, Example\",true,1700000000,\r\n" +
			"bob,,correct horse battery staple,,true,,,,pt-BR\n",
		"a JSON array": `[` + "\n" +
			`{"username":"alice","subject":"s-1","password_hash":"$argon2id$","name":"Alice, Example","email_verified":true,"updated_at":1700000000},` + "\n" +
			`{"username":"bob","password":"correct horse battery staple","disabled":true,"locale":"pt-BR"}]`,
		"JSON lines": "{\"username\":\"alice\",\"subject\":\"s-1\",\"password_hash\":\"$argon2id$\",\"name\":\"Alice, Example\",\"email_verified\":true,\"updated_at\":1700000000}\n" +
			"{\"username\":\"bob\",\"password\":\"correct horse battery staple\",\"disabled\":true,\"locale\":\"pt-BR\"}\n",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			users, problems, err := Read([]byte(file))
			if err != nil || len(problems) > 0 {
				t.Fatalf("%+v, %v", problems, err)
			}
			if name == "JSON lines" {
				for i := range users {
					users[i].Line++
				}
			}
			if diff := cmp.Diff(want, users, cmpopts.IgnoreUnexported(User{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Covers: KB-04, KB-07. A problem names its line and repeats no value, and the other lines are read.
func TestReadProblems(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", claims.MaxText+1)
	for name, test := range map[string]struct {
		file  string
		users int    // that are read
		want  string // line: reason, of each problem
	}{
		"too few fields":           {"username,name\na\nb,B\n", 1, "2: the line does not have 2 fields"},
		"a bare quotation mark":    {"username,name\na,A \"x\"\nb,B\n", 1, "2: a quotation mark is in a field"},
		"an unclosed quotation":    {"username,name\na,A\nb,\"B\nc,C\n", 1, "3: a quotation mark is out of place: this line and all after it"},
		"a line break":             {"username,name\na,\"A\nx\"\nb,B\n", 0, "2: a quotation mark is out of place"},
		"no name":                  {"username,name\n,A\nb,B\n", 1, "2: the user name is missing"},
		"a column that is no flag": {"username,disabled\na,yes\nb,true\n", 1, "2: disabled is not true or false"},
		"two passwords":            {"username,password,password_hash\na,p,h\n", 0, "2: there are both a password"},
		"a long line":              {"username,name\na," + strings.Repeat("x", maxUser) + "\n", 0, "2: the line is longer than"},
		"two of a name":            {"username\na\nb\na\n", 1, "2: the user name is that of line 4 too; 4: the user name is that of line 2 too"},
		"two of a subject":         {"[{\"username\":\"a\",\"subject\":\"s\"},\n{\"username\":\"b\",\"subject\":\"s\"},{\"username\":\"c\"}]", 1, "1: the subject is that of line 2 too; 2: the subject is that of line 1 too"},
		"one of two that is bad":   {"username,email\na,x\na,a@b.example\n", 0, "2: email is not an e-mail address (RFC 5322 §3.4.1); 3: the user name is that of line 2 too"},
		"a member twice":           {"[{\"username\":\"a\",\"username\":\"b\"},\n{\"username\":\"c\"}]", 1, "1: malformed"},
		"what is no object":        {"[1,\n{\"username\":\"c\"}]", 1, "1: malformed: not a JSON object"},
		"an unknown member":        {"[{\"username\":\"a\",\"locales\":\"x\"}]", 0, "1: \"locales\" is no name that is read here; did you mean locale?"},
		"a name that is a number":  {"[{\"username\":1}]", 0, "1: username is not a text, or is empty"},
		"a flag that is a text":    {"[{\"username\":\"a\",\"disabled\":\"true\"}]", 0, "1: disabled is not true or false"},
		"a line that is no JSON":   {"{\"username\":\"a\"}\n{\"username\"\n{\"username\":\"c\"}", 2, "2: malformed"},
		"a large object":           {"[{\"username\":\"a\",\"name\":\"" + strings.Repeat("x", maxUser) + "\"}]", 0, "1: the object is longer than"},
		"an e-mail address":        {"username,email\na,A <a@b.example>\n", 0, "2: email is not an e-mail address"},
		"a language":               {"username,locale\na,portuguese-of-brazil\n", 0, "2: locale is not a language tag"},
		"a time zone":              {"username,zoneinfo\na,../../etc/passwd\n", 0, "2: zoneinfo is not a time zone"},
		"a date":                   {"username,birthdate\na,31.12.1980\n", 0, "2: birthdate is not a date"},
		"an address of a page":     {"username,website\na,javascript:alert(1)\n", 0, "2: website is not a web address"},
		"a verified that is no":    {"username,email_verified\na,1\n", 0, "2: email_verified is not true or false"},
		"a time":                   {"username,updated_at\na,yesterday\n", 0, "2: updated_at is not a number of seconds"},
		"a long value":             {"username,name\na," + long + "\n", 0, "2: name is longer than 2048 bytes"},
		"a control character":      {"username,name\na,A\x07\n", 0, "2: name holds a control character"},
		"NUL":                      {"username,name\na,A\x00\n", 0, "2: name: malformed"},
		"text that is not UTF-8":   {"username,name\na,\xff\n", 0, "2: name is not UTF-8"},
		"an address":               {"[{\"username\":\"a\",\"address\":{\"city\":\"x\"}}]", 0, "1: address has no member \"city\""},
		"an address that is text":  {"[{\"username\":\"a\",\"address\":\"x\"}]", 0, "1: address is not an object"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			users, problems, err := Read([]byte(test.file))
			if err != nil || len(users) != test.users {
				t.Fatalf("%d users, %v", len(users), err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d: %s", p.Line, p.Reason))
			}
			if all := strings.Join(got, "; "); !strings.HasPrefix(all, test.want) || len(problems) != strings.Count(test.want, "; ")+1-strings.Count(test.want, "; did") {
				t.Errorf("%q, want %q", all, test.want)
			}
		})
	}
	t.Run("accepts names and subjects that differ", func(t *testing.T) {
		users, problems, err := Read([]byte(`[{"username":"a","subject":"s"},{"username":"b","subject":"t"},{"username":"c"}]`))
		if err != nil || len(users) != 3 || len(problems) > 0 {
			t.Errorf("%d users, %v, %v", len(users), problems, err)
		}
	})
}

// Covers: KB-08. A file that is no list of users, or is too large, is refused as a whole.
func TestReadWhole(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, want string }{
		"nothing":              {" \n", "the file is empty"},
		"a header without it":  {"name\nA\n", "no column username"},
		"an unknown column":    {"username,adress\n", "did you mean address?"},
		"a column twice":       {"username,name,name\n", "the column name twice"},
		"an address in CSV":    {"username,address\n", "give it in JSON"},
		"another encoding":     {"user\xffname,a\n", "not UTF-8"},
		"an array that breaks": {"[{\"username\":\"a\"},\n{\"username\":\"b\"}", "at or after the user on line 2"},
		"something after it":   {"[{\"username\":\"a\"}] x", "something follows"},
		"too many users":       {"username\n" + strings.Repeat("a\n", maxUsers+1), "more than 100000 users"},
		"deep nesting":         {strings.Repeat("[", 100), "nested too deeply"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if users, problems, err := Read([]byte(test.file)); err == nil || !strings.Contains(err.Error(), test.want) || len(users)+len(problems) > 0 {
				t.Errorf("%d users, %d problems, %v", len(users), len(problems), err)
			}
		})
	}
	t.Run("accepts as long a value as there may be", func(t *testing.T) {
		name := strings.Repeat("x", claims.MaxText)
		users, problems, err := Read([]byte("username,name\na," + name + "\n"))
		if err != nil || len(users) != 1 || len(problems) > 0 {
			t.Errorf("%d users, %v, %v", len(users), problems, err)
		}
	})
}

// Covers: KB-02. What a claim may be, by its type.
func TestClaim(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"email": {`"a@b.example"`, `null`}, "locale": {`"pt-BR"`, `"ar"`, `"en_US"`}, "zoneinfo": {`"Europe/Lisbon"`, `"UTC"`},
		"birthdate": {`"1980-12-31"`, `"1980"`, `"0000-02-29"`}, "picture": {`"https://a.example/p.png"`}, "email_verified": {`false`},
		"updated_at": {`1700000000`}, "address": {`{"country":"PT","formatted":"Rua 1\nLisboa"}`}, "name": {`"Zoë 李"`},
	} {
		for _, value := range values {
			t.Run("accepts "+name+" "+value, func(t *testing.T) {
				if err := Claim(name, json.RawMessage(value)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for name, value := range map[string]string{"sub": `"x"`, "acr": `"x"`, "email": `1`, "name": `""`, "updated_at": `"1"`, "nickname": `"\u0000"`} {
		t.Run("refuses "+name+" "+value, func(t *testing.T) {
			if Claim(name, json.RawMessage(value)) == nil {
				t.Error("accepted")
			}
		})
	}
}

// FuzzRead: whatever the file, each user that is read is whole, alone with its name and its subject, and on no line with a
// problem of the same name.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"username,subject,name,email\na,s,A,a@b.example\nb,,\"B, b\",\n", "[{\"username\":\"a\",\"address\":{\"country\":\"PT\"}},\n{}]",
		"{\"username\":\"a\"}\n\n{\"username\":\"a\",\"name\":null}", "username\n\"a\nb\"\n", "username,disabled,updated_at\na,true,12\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		users, problems, err := Read(file)
		if err != nil && len(users)+len(problems) > 0 {
			t.Fatalf("%v, and users", err)
		}
		lines := strings.Count(string(file), "\n") + 1
		names, subjects := map[string]bool{}, map[string]bool{}
		for _, u := range users {
			if u.Username == "" || names[u.Username] || u.Subject != "" && subjects[u.Subject] || u.Password != "" && u.PasswordHash != "" || u.Line < 1 || u.Line > lines {
				t.Fatalf("%+v", u)
			}
			names[u.Username], subjects[u.Subject] = true, true
			for name, value := range u.Claims {
				if err := Claim(name, value); err != nil || !json.Valid(value) {
					t.Fatalf("%s: %s: %v", name, value, err)
				}
			}
		}
		for _, p := range problems {
			if p.Reason == "" || p.Line < 1 || p.Line > lines {
				t.Fatalf("%+v", p)
			}
		}
	})
}
