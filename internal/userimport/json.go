package userimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"countersign/internal/strictjson"
)

// array reads an array of objects. Where it is no JSON, nobody can tell where the others begin: nothing of it is read.
func (l *list) array(file []byte) error {
	line, counted := 1, 0
	err := strictjson.Array(file, func(e strictjson.Element) error {
		line += bytes.Count(file[counted:e.Offset], []byte("\n"))
		counted = e.Offset
		return l.object(line, e.Raw, e.Fault)
	})
	switch {
	case errors.Is(err, strictjson.ErrMalformed) && counted > 0:
		return fmt.Errorf("at or after the user on line %d: %w", line, err)
	case err != nil:
		return err
	}
	return nil
}

// lines reads an object on each line.
func (l *list) lines(file []byte) error {
	line := 0
	for raw := range bytes.Lines(file) {
		line++
		if raw = bytes.TrimSpace(raw); len(raw) == 0 {
			continue
		}
		if err := l.object(line, raw, nil); err != nil {
			return err
		}
	}
	return nil
}

// object reads one user. The fault is one of its JSON, or nil.
func (l *list) object(line int, raw []byte, fault error) error {
	user := User{Line: line}
	if len(raw) > maxUser {
		return l.add(user, fmt.Errorf("the object is longer than %d bytes", maxUser))
	}
	if fault != nil {
		return l.add(user, fault)
	}
	var members map[string]json.RawMessage
	if err := strictjson.DecodeObject(raw, &members); err != nil {
		return l.add(user, err)
	}
	err := user.read(members)
	return l.add(user, err)
}

// read fills in a user from the members of an object. The first problem of them is returned when all were read.
func (u *User) read(members map[string]json.RawMessage) error {
	var problem error
	note := func(err error) {
		if problem == nil {
			problem = err
		}
	}
	texts := map[string]*string{"username": &u.Username, "subject": &u.Subject, "password": &u.Password, "password_hash": &u.PasswordHash}
	u.Claims = map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := members[name]
		switch into, is := texts[name]; {
		case is:
			if strictjson.Decode(value, into) != nil || *into == "" {
				note(fmt.Errorf("%s is not a text, or is empty", name))
			}
		case name == "disabled":
			if strictjson.Decode(value, &u.Disabled) != nil || u.Disabled == nil {
				note(errors.New("disabled is not true or false"))
			}
		case !slices.Contains(names(), name):
			note(unknown(name))
		default:
			u.Claims[name] = value
		}
	}
	return problem
}
