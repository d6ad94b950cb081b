package adminapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"countersign/internal/adminapi"
	"countersign/internal/ceremony"
	"countersign/store"
	"countersign/store/sqlite"
)

var update = flag.Bool("update", false, "write openapi.json")

const description = "../../docs/api/admin-v1.yaml"

// described is docs/api/admin-v1.yaml as JSON, and as what validates answers.
var described = sync.OnceValues(func() (*contract, error) {
	text, err := os.ReadFile(description)
	if err != nil {
		return nil, err
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	encoded, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		return nil, err
	}
	c := &contract{document: document, encoded: append(encoded, '\n'), schemas: map[string]*jsonschema.Schema{}}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	c.compiler = jsonschema.NewCompiler()
	c.compiler.DefaultDraft(jsonschema.Draft2020) // OpenAPI 3.1
	c.compiler.AssertFormat()
	return c, c.compiler.AddResource("https://contract.example/v1", resource)
})

// contract is the description of the API.
type contract struct {
	document map[string]any
	encoded  []byte

	lock     sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

// schema compiles the part at a JSON pointer (RFC 6901).
func (c *contract) schema(t *testing.T, pointer ...string) *jsonschema.Schema {
	t.Helper()
	var at strings.Builder
	for _, part := range pointer {
		at.WriteString("/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part)))
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if known, ok := c.schemas[at.String()]; ok {
		return known
	}
	made, err := c.compiler.Compile("https://contract.example/v1#" + at.String())
	if err != nil {
		t.Fatal(err)
	}
	c.schemas[at.String()] = made
	return made
}

// part follows names in the document, and references.
func (c *contract) part(from any, names ...string) any {
	for i := 0; ; i++ {
		object, _ := from.(map[string]any)
		if reference, ok := object["$ref"].(string); ok {
			from = c.part(c.document, strings.Split(strings.TrimPrefix(reference, "#/"), "/")...)
			object, _ = from.(map[string]any)
		}
		if i == len(names) {
			return from
		}
		from = object[names[i]]
	}
}

// template is the path of the description that a path is of; one without parameters goes first.
func (c *contract) template(path string) string {
	paths := c.document["paths"].(map[string]any)
	if paths[path] != nil {
		return path
	}
	parts := strings.Split(path, "/")
	for template := range paths {
		of := strings.Split(template, "/")
		if len(of) == len(parts) && !slices.ContainsFunc(of, func(part string) bool {
			at := slices.Index(of, part)
			return !strings.HasPrefix(part, "{") && part != parts[at]
		}) {
			return template
		}
	}
	return ""
}

// documented demands that an answer is one that the description has for the operation.
func (a answer) documented(method, path string) {
	a.Helper()
	c, err := described()
	if err != nil {
		a.Fatal(err)
	}
	path, _, _ = strings.Cut(path, "?")
	template, operation := c.template(path), strings.ToLower(method)
	if template == "" || c.part(c.document, "paths", template, operation) == nil {
		return // a path or method that there is not
	}
	status := strconv.Itoa(a.status)
	response := c.part(c.document, "paths", template, operation, "responses", status)
	if response == nil {
		a.Errorf("%s %s: the status %s is not described: %s", method, template, status, a.raw)
		return
	}
	for name := range c.part(response, "headers").(map[string]any) {
		if a.header.Get(name) == "" {
			a.Errorf("%s %s: %s without %s", method, template, status, name)
		}
	}
	content, _ := c.part(response, "content").(map[string]any)
	if content == nil {
		if a.raw != "" {
			a.Errorf("%s %s: %s with %s", method, template, status, a.raw)
		}
		return
	}
	kind := a.header.Get("Content-Type")
	if content[kind] == nil {
		a.Errorf("%s %s: %s of the type %s", method, template, status, kind)
		return
	}
	pointer := []string{"paths", template, operation, "responses", status}
	if reference, ok := c.part(c.document, pointer[:4]...).(map[string]any)[status].(map[string]any)["$ref"].(string); ok {
		pointer = strings.Split(strings.TrimPrefix(reference, "#/"), "/")
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.raw))
	if err != nil {
		a.Fatal(err)
	}
	if err := c.schema(a.T, append(pointer, "content", kind, "schema")...).Validate(body); err != nil {
		a.Errorf("%s %s: %s %s\n%v", method, template, status, a.raw, err)
	}
}

// Covers: NM-55. The description has every route and no other, with the roles that it is for; it is served as JSON.
func TestNM55Described(t *testing.T) {
	c, err := described()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", c.encoded, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	api, err := adminapi.New(adminapi.Config{
		Store: &sqlite.Store{}, Now: time.Now, ApprovalsLast: time.Hour, Keys: func(store.Store, bool, []string, func(ceremony.Event)) *ceremony.Ceremony { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]bool{}
	t.Run("accepts each route as it is described", func(t *testing.T) {
		for _, route := range api.Routes() {
			routes[route.Method+" "+route.Path] = true
			said, ok := c.part(c.document, "paths", route.Path, strings.ToLower(route.Method), "description").(string)
			if !ok {
				t.Errorf("%s %s is not described", route.Method, route.Path)
			}
			for _, role := range route.Roles {
				if name := strings.Replace(string(role), "reader", "any", 1); !strings.Contains(said, name) {
					t.Errorf("%s %s does not say that it is for %s: %s", route.Method, route.Path, name, said)
				}
			}
			if body := c.part(c.document, "paths", route.Path, strings.ToLower(route.Method), "requestBody"); (body != nil) != (route.MaxBody > 0) {
				t.Errorf("%s %s: the body is %v and up to %d bytes are read", route.Method, route.Path, body, route.MaxBody)
			}
		}
	})
	t.Run("refuses descriptions of what there is not", func(t *testing.T) {
		for path, item := range c.document["paths"].(map[string]any) {
			for method := range item.(map[string]any) {
				if method != "parameters" && !routes[strings.ToUpper(method)+" "+path] {
					t.Errorf("%s %s is described and not there", method, path)
				}
			}
		}
	})
	t.Run("accepts to read it", func(t *testing.T) {
		w := newWorld(t)
		got := w.ask(t, "rita", "GET", "/admin/v1/openapi.json", nil).want(http.StatusOK)
		if got.raw != string(c.encoded) {
			t.Errorf("openapi.json is out of date: go test ./internal/adminapi -run TestNM55 -update")
		}
	})
}
