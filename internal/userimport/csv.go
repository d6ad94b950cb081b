package userimport

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// table reads CSV. No value has a line break: where one is in a field, or a quotation mark is out of place, nobody can tell
// which lines are whole, and the rest of the file is left out.
func (l *list) table(file []byte) error {
	reader := csv.NewReader(bytes.NewReader(file))
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("the header: %w", err)
	}
	if err := checkHeader(header); err != nil {
		return err
	}
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, whole := position(reader, cells, err)
		if !whole {
			l.refuse(line, "", "a quotation mark is out of place: this line and all after it are left out")
			return nil
		}
		user := User{Line: line}
		if err == nil {
			err = user.fill(header, cells)
		}
		if err := l.add(user, rowProblem(err, len(header))); err != nil {
			return err
		}
	}
}

// position is the line of a record, and whether its end is certain.
func position(reader *csv.Reader, cells []string, err error) (line int, whole bool) {
	if problem, is := errors.AsType[*csv.ParseError](err); is {
		return problem.StartLine, !errors.Is(err, csv.ErrQuote) && !broken(cells)
	}
	line, _ = reader.FieldPos(0)
	return line, !broken(cells)
}

func broken(cells []string) bool {
	return slices.ContainsFunc(cells, func(cell string) bool { return strings.ContainsAny(cell, "\r\n") })
}

// rowProblem is the problem of a row in our own words; those of the package csv have the line.
func rowProblem(err error, columns int) error {
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		return fmt.Errorf("the line does not have %d fields, as the header has", columns)
	case errors.Is(err, csv.ErrBareQuote):
		return errors.New("a quotation mark is in a field that does not begin with one; write \"\" for it, and \" around the field")
	}
	return err
}

func checkHeader(header []string) error {
	for i, name := range header {
		switch {
		case !utf8.ValidString(name):
			return errors.New("the header is not UTF-8")
		case name == "address":
			return errors.New("the column address: an address is an object and fits into no field; give it in JSON")
		case !slices.Contains(names(), name):
			return fmt.Errorf("the header: %w", unknown(name))
		case slices.Contains(header[:i], name):
			return fmt.Errorf("the header has the column %s twice", name)
		}
	}
	if !slices.Contains(header, "username") {
		return errors.New("the header has no column username")
	}
	return nil
}

// fill fills in a user from the fields of a line; an empty one says nothing.
func (u *User) fill(header, cells []string) error {
	size := 0
	var problem error
	for i, text := range cells {
		size += len(text)
		if text == "" {
			continue
		}
		if err := u.set(header[i], text); err != nil && problem == nil {
			problem = err
		}
	}
	if size > maxUser {
		return fmt.Errorf("the line is longer than %d bytes", maxUser)
	}
	return problem
}

// set sets one value.
func (u *User) set(name, text string) error {
	switch name {
	case "username":
		u.Username = text
	case "subject":
		u.Subject = text
	case "password":
		u.Password = text
	case "password_hash":
		u.PasswordHash = text
	case "disabled":
		if text != "true" && text != "false" {
			return errors.New("disabled is not true or false")
		}
		disabled := text == "true"
		u.Disabled = &disabled
	default:
		value, err := FromText(name, text)
		if err != nil {
			return err
		}
		if u.Claims == nil {
			u.Claims = map[string]json.RawMessage{}
		}
		u.Claims[name] = value
	}
	return nil
}
