package words

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Problem is what is wrong with a file of messages, or with the list of languages.
type Problem struct {
	// File is below the folder of the messages; empty where the list of languages is wrong. Line counts from 1, or is 0.
	File string
	Line int
	// Key is that of the message, or empty.
	Key string
	// Text says what is wrong and what would be right.
	Text string
}

// Error implements error.
func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, p.Line)
	}
	parts := []string{where, p.Key, p.Text}
	if where == "" {
		parts = parts[2:]
	} else if p.Key == "" {
		parts = []string{where, p.Text}
	}
	return strings.Join(parts, ": ")
}

// Problems are all of them.
type Problems []Problem

// Error implements error: one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// entry is a message with its place.
type entry struct {
	file string
	line int
	key  string
	text message
}

// maxFile bounds a file of messages, in bytes.
const maxFile = 1 << 20

// read reads the files of a folder. A folder that is not there has none.
func read(files fs.FS, folder string) ([]entry, error) {
	found, err := fs.ReadDir(files, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, each := range found {
		name := path.Join(folder, each.Name())
		if strings.HasPrefix(each.Name(), ".") || path.Ext(name) != ".json" {
			continue
		}
		info, err := fs.Stat(files, name) // what it is a link to
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxFile {
			return nil, Problems{{File: name, Text: fmt.Sprintf("is no file, or larger than %d bytes", maxFile)}}
		}
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		of, err := parse(name, raw)
		if err != nil {
			return nil, err
		}
		entries = append(entries, of...)
	}
	return entries, nil
}

// parse reads one file: an object with a member for each message.
func parse(name string, raw []byte) ([]entry, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	problem := func(key, text string) error {
		line := 1 + bytes.Count(raw[:min(len(raw), int(decoder.InputOffset()))], []byte("\n"))
		return Problems{{name, line, key, text}}
	}
	const notObject = "not a JSON object with a text for each message"
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, problem("", notObject)
	}
	var entries []entry
	for decoder.More() {
		token, err := decoder.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, problem("", notObject)
		}
		line := 1 + bytes.Count(raw[:decoder.InputOffset()], []byte("\n"))
		var text message
		if err := decoder.Decode(&text); err != nil {
			return nil, problem(key, err.Error())
		}
		entries = append(entries, entry{name, line, key, text})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, problem("", notObject)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, problem("", "something follows the JSON object; remove it")
	}
	return entries, nil
}
