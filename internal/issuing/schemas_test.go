package issuing_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/flowclient"
)

// schemas are those of issuers in one PostgreSQL database.
type schemas struct {
	t        *testing.T
	database string
}

func newSchemas(t *testing.T) *schemas {
	t.Helper()
	return &schemas{t, cluster.Database(t)}
}

// use takes an issuer from its embedded database to a schema of its own.
func (s *schemas) use(name string, c *config.Config) {
	s.t.Helper()
	output, err := exec.CommandContext(s.t.Context(), "psql", "--dbname", s.database, "-c", "CREATE SCHEMA issuer_"+name).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, output)
	}
	separator := "?"
	if strings.Contains(s.database, "?") {
		separator = "&"
	}
	address := fmt.Sprintf("%s%ssearch_path=issuer_%s", s.database, separator, name)
	_, err = database.Copy(s.t.Context(), c.Store.File.Path(), address, time.Now, database.Progress{Migrated: func(int) {}})
	must(s.t, err)
	file := filepath.Join(s.t.TempDir(), "url")
	must(s.t, os.WriteFile(file, []byte(address), 0o600))
	c.Store = config.Store{Driver: "postgres", URL: config.Secret(file), MaxConnections: 4}
}

// read reads an answer to its end.
func read(t *testing.T, response *http.Response) flowclient.Reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return flowclient.Reply{Status: response.StatusCode, Header: response.Header, Body: body}
}
