// Package userimport reads files of users, CSV and JSON, and checks the claims in them. What is wrong with one user is a
// problem of its line, and leaves that user out; the others can be imported.
//
// CSV (RFC 4180) has a header with the names of the columns, JSON is an array of objects or an object on each line; both have
// the same names: username, subject, password, password_hash, disabled, and the claims of OpenID Connect Core §5.1.
package userimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"countersign/fapi/claims"
	"countersign/internal/suggest"
)

const (
	// MaxFile bounds a file, in bytes.
	MaxFile = 64 << 20
	// maxUsers bounds the users of a file, and maxUser one of them, in bytes.
	maxUsers = 100_000
	maxUser  = 64 << 10
)

// User is one of a file.
type User struct {
	// Line is where it begins, counted from 1.
	Line     int
	Username string
	// Subject is the sub that clients see, or empty.
	Subject string
	// Password and PasswordHash are what the user signs in with at first, at most one of them; or empty.
	Password, PasswordHash string
	// Disabled is nil where the file does not say it.
	Disabled *bool
	// Claims are those of the file. One that is null is to be removed.
	Claims map[string]json.RawMessage
	// index is its place among the users of the file: a line may have several.
	index int
}

// Problem is why the user of a line is left out.
type Problem struct {
	Line int
	// Username is that of the line, if it could be read.
	Username string
	// Reason repeats no value of a claim and no password.
	Reason string
}

// Read reads a file of users. Those that it returns can be imported as far as the file can show; the others are the problems,
// in the order of their lines. The error is of the file as a whole, and then there is nothing to import.
func Read(file []byte) ([]User, []Problem, error) {
	l := &list{names: map[string]User{}, subjects: map[string]User{}, twice: map[int]string{}}
	var err error
	switch first := bytes.TrimLeft(file, " \t\r\n"); {
	case len(first) == 0:
		return nil, nil, errors.New("the file is empty")
	case first[0] == '[':
		err = l.array(file)
	case first[0] == '{':
		err = l.lines(file)
	default:
		err = l.table(file)
	}
	if err != nil {
		return nil, nil, err
	}
	users, problems := l.single()
	return users, problems, nil
}

// list collects the users of a file.
type list struct {
	users    []User
	problems []Problem
	// names and subjects have the user in which each was seen first, also one that is left out, and twice has, by index, what
	// is there more than once.
	names, subjects map[string]User
	twice           map[int]string
}

var errTooMany = fmt.Errorf("the file has more than %d users; import it in parts", maxUsers)

// add adds a user, or the reason why it is left out.
func (l *list) add(u User, problem error) error {
	if len(l.users)+len(l.problems) == maxUsers {
		return errTooMany
	}
	u.index = len(l.users) + len(l.problems)
	l.seen(l.names, "user name", u.Username, u)
	l.seen(l.subjects, "subject", u.Subject, u)
	if problem == nil {
		problem = u.check()
	}
	if problem != nil {
		l.refuse(u.Line, u.Username, problem.Error())
		return nil
	}
	l.users = append(l.users, u)
	return nil
}

func (l *list) refuse(line int, username, reason string) {
	l.problems = append(l.problems, Problem{Line: line, Username: username, Reason: reason})
}

// seen notes, for both lines, that a value is there twice: which of them is right, nobody can tell.
func (l *list) seen(where map[string]User, kind, value string, in User) {
	if value == "" {
		return
	}
	first, found := where[value]
	if !found {
		where[value] = in
		return
	}
	l.twice[in.index] = fmt.Sprintf("the %s is that of line %d too", kind, first.Line)
	if l.twice[first.index] == "" {
		l.twice[first.index] = fmt.Sprintf("the %s is that of line %d too", kind, in.Line)
	}
}

// single leaves out the users of which there are two.
func (l *list) single() ([]User, []Problem) {
	users := slices.DeleteFunc(l.users, func(u User) bool {
		reason, twice := l.twice[u.index]
		if twice {
			l.refuse(u.Line, u.Username, reason)
		}
		return twice
	})
	slices.SortStableFunc(l.problems, func(a, b Problem) int { return a.Line - b.Line })
	return users, l.problems
}

// check checks what the file alone can show.
func (u User) check() error {
	switch {
	case u.Username == "":
		return errors.New("the user name is missing")
	case u.Password != "" && u.PasswordHash != "":
		return errors.New("there are both a password and a password_hash")
	}
	for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
		if err := Claim(name, u.Claims[name]); err != nil {
			return err
		}
	}
	return nil
}

// own are the names beside the claims.
var own = []string{"username", "subject", "password", "password_hash", "disabled"}

// names are those that a file can have.
func names() []string { return append(slices.Clone(own), claims.Known()...) }

// unknown is the problem of a name that no file has.
func unknown(name string) error {
	if len(name) > 40 {
		name = strings.ToValidUTF8(name[:40], "") + "…"
	}
	return fmt.Errorf("%q is no name that is read here%s", name, hint(name, names()))
}

// hint asks whether a name was meant, after a problem.
func hint(name string, known []string) string {
	if asked := suggest.Hint(name, known, ""); asked != "" {
		return "; " + asked
	}
	return ""
}
