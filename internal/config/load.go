package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"countersign/internal/config/issuers"
	"countersign/internal/config/position"
)

// maxFile bounds the size of a configuration file, in bytes.
const maxFile = 1 << 20

// Load reads the file, validates it and checks each file that it names. A wrong configuration is
// a [*Report] of all its problems; any other error means that the file could not be read.
func Load(file string) (*Config, error) { return load(file, true) }

// LoadValues is [Load] without looking at the files that are named: for showing a configuration where its secrets
// are out of reach. With a main configuration the file is that of one of its issuers.
func LoadValues(file string, main ...*Config) (*Config, error) { return load(file, false, main...) }

// LoadIssuer is [Load] of the file of one of several issuers (docs/issuers.md). What belongs to the process is refused in it, and is
// that of the main configuration.
func LoadIssuer(file string, main *Config) (*Config, error) { return load(file, true, main) }

func load(name string, files bool, main ...*Config) (*Config, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer file.Close()
	document, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(document) > maxFile {
		return nil, fmt.Errorf("config: %s is larger than %d bytes", name, maxFile)
	}
	return parse(name, document, files, main...)
}

// Name is the name of the file that was read.
func (c *Config) Name() string { return c.name }

// parse is everything behind reading the file; main is what an issuer's file takes the rest from.
func parse(name string, document []byte, files bool, main ...*Config) (*Config, error) {
	c := &collector{wrong: map[string]bool{}}
	var tree map[string]any
	if err := toml.Unmarshal(document, &tree); err != nil {
		c.problems = append(c.problems, syntaxProblem(err))
		return nil, c.report(name)
	}
	c.positions = position.Locate(document)
	for _, main := range main {
		for _, key := range issuers.Inherit(tree, *main) {
			c.add(key, "", "belongs to the process; set it in the main file, %s", main.name)
		}
	}
	config := &Config{folder: filepath.Dir(name), name: name, positions: c.positions}
	c.validate(tree)
	c.fill(reflect.ValueOf(config).Elem(), "", tree)
	config.resolve()
	config.Signer.StateFolder = File(config.stateFolder())
	c.rules(config)
	if files {
		c.files(config)
	}
	if err := c.report(name); err != nil {
		return nil, err
	}
	return config, nil
}

// syntaxProblem is the one problem reported of a document that is not TOML: what follows cannot be read.
func syntaxProblem(err error) Problem {
	problem := Problem{Text: "not correct TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		problem.Line, _ = decode.Position()
	}
	return problem
}

// stateFolder chooses a folder for what the signer remembers. The server and the commands come to the same.
func (c *Config) stateFolder() string {
	s := &c.Signer
	systemd, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	switch {
	case s.StateDir != "":
		return s.StateDir.Path()
	case c.Store.File != "" && c.Store.Driver != "postgres":
		return filepath.Dir(c.Store.File.Path())
	case systemd != "":
		return systemd
	}
	if file, err := s.PINFile.Path(); err == nil && file != "" {
		return filepath.Dir(file)
	}
	return ""
}

// resolve lets relative file names start at the configuration file's folder.
func (c *Config) resolve() {
	c.eachField(func(_ string, _ reflect.StructField, value reflect.Value) {
		switch name := value.Interface().(type) {
		case File:
			value.SetString(c.resolved(string(name)))
		case Secret:
			if !name.IsCredential() {
				value.SetString(c.resolved(string(name)))
			}
		}
	})
	c.resolveEnvironment(c.Signer.Environment)
	for _, replica := range c.Signer.Replicas {
		c.resolveEnvironment(replica.Environment)
	}
}

func (c *Config) resolveEnvironment(environment map[string]string) {
	for name, value := range environment {
		if strings.HasPrefix(value, "./") {
			environment[name] = c.absolute(value)
		}
	}
}

func (c *Config) resolved(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.folder, name)
}

// absolute is for names that another process reads, which may run in another folder.
func (c *Config) absolute(name string) string {
	path, err := filepath.Abs(c.resolved(name))
	if err != nil { // the working directory is gone: the relative name is the best there is
		return c.resolved(name)
	}
	return path
}

// eachField calls visit for every key that is no table, in the order of the struct.
func (c *Config) eachField(visit func(key string, field reflect.StructField, value reflect.Value)) {
	visitFields("", reflect.ValueOf(c).Elem(), visit)
}

// EachFile visits every file that the configuration names, by key: one of the two is not empty.
func (c *Config) EachFile(visit func(key string, file File, secret Secret)) {
	c.eachField(func(key string, _ reflect.StructField, value reflect.Value) {
		file, _ := value.Interface().(File)
		secret, _ := value.Interface().(Secret)
		if file != "" || secret != "" {
			visit(key, file, secret)
		}
	})
}

func visitFields(prefix string, table reflect.Value, visit func(string, reflect.StructField, reflect.Value)) {
	for i := range table.NumField() {
		field := table.Type().Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		key := position.Join(prefix, name)
		switch value := table.Field(i); {
		case field.Type.Kind() == reflect.Struct:
			visitFields(key, value, visit)
		case field.Type.Kind() == reflect.Slice:
			for n := range value.Len() {
				visitFields(fmt.Sprintf("%s[%d]", key, n), value.Index(n), visit)
			}
		default:
			visit(key, field, value)
		}
	}
}

// Validate validates a configuration that was changed after it was read, as [Load] does.
func (c *Config) Validate() error {
	found := &collector{positions: c.positions, wrong: map[string]bool{}}
	found.rules(c)
	found.files(c)
	return found.report(c.name)
}
