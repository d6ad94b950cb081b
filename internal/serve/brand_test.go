package serve_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/serve"
)

// documented returns a listing of docs/brand.md.
func documented(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/brand.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```"+language+"\n")
	listing, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatalf("docs/brand.md has no listing of %s", language)
	}
	return listing
}

const testLogo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3 1"><style>.a{fill:#7a1f5c}</style><path class="a" d="M0 0h3v1H0z"/></svg>`

// branded is an installation with the brand of docs/brand.md; change alters a file of it before it is read.
func branded(t *testing.T, change func(folder string)) (*setuptest.Installation, *config.Config, error) {
	t.Helper()
	i := setuptest.New(t)
	text, err := os.ReadFile(i.File)
	if err != nil {
		t.Fatal(err)
	}
	table, rest, _ := strings.Cut(strings.TrimPrefix(documented(t, "toml"), "[brand]\n"), "\n\n")
	made := strings.Replace(string(text), "\n[brand]\n", "\n[brand]\n"+table+"\n", 1) + "\n" + rest
	var icon bytes.Buffer
	if err := png.Encode(&icon, image.NewGray(image.Rect(0, 0, 16, 16))); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		i.File: made, "brand/logo.svg": testLogo, "brand/logo-dark.svg": strings.ReplaceAll(testLogo, "7a1f5c", "ffffff"),
		"brand/logo-ar.svg": strings.ReplaceAll(testLogo, "7a1f5c", "333333"), "brand/icon.png": icon.String(),
		"brand/messages/en/own.json": documented(t, "json"),
	} {
		if !filepath.IsAbs(name) {
			name = filepath.Join(i.Folder, name)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(i.Folder)
	}
	c, err := config.Load(i.File)
	if err != nil {
		return i, nil, err
	}
	return i, c, serve.Check(t.Context(), c, time.Now)
}

// Covers: KD-10, KD-26. TestKD26BrandOfTheDocumentation: what docs/brand.md shows is a brand: pages, images, discovery and messages
// are as it says.
func TestKD26BrandOfTheDocumentation(t *testing.T) {
	i, c, err := branded(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := start(t, c)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots}}}
	defer client.CloseIdleConnections()
	get := func(path, accept string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Issuer+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "text/html")
		request.Header.Set("Accept-Language", accept)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	logo := regexp.MustCompile(`<img src="([^"]*)" alt="" width="108" height="36">`)
	for accept, want := range map[string]struct{ language, name, says string }{
		"en": {"en", "Harbour Bank", "<h1>Welcome to <bdi>Harbour Bank</bdi></h1>"}, "pt": {"pt-BR", "Banco do Porto", "https://bank.example/pt/ajuda"},
		"ar": {"ar", "بنك المرفأ", `dir="rtl"`}, "de": {"pt-BR", "Banco do Porto", "Banco do Porto"}, // which is not offered
	} {
		t.Run("accepts "+accept, func(t *testing.T) {
			response, body := get("/device/settings", accept)
			if response.Header.Get("Content-Language") != want.language || !strings.Contains(body, want.name) || !strings.Contains(body, want.says) || strings.Contains(body, "Countersign") {
				t.Errorf("%s: %s", response.Header.Get("Content-Language"), body)
			}
			source := logo.FindStringSubmatch(body)
			if source == nil {
				t.Fatal("there is no logo")
			}
			image, content := get(source[1], "")
			if image.StatusCode != http.StatusOK || image.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(content, "M0 0h3v1H0z") {
				t.Errorf("%d %s", image.StatusCode, content)
			}
			for name, want := range map[string]string{
				"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
				"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
			} {
				if got := image.Header.Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
			}
			if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "; img-src data: "+c.Issuer) || strings.Contains(policy, "*") {
				t.Error(policy)
			}
		})
	}
	t.Run("accepts the languages in the discovery document", func(t *testing.T) {
		_, body := get("/.well-known/openid-configuration", "")
		var document struct {
			Locales []string `json:"ui_locales_supported"`
		}
		if err := json.Unmarshal([]byte(body), &document); err != nil || strings.Join(document.Locales, " ") != "pt-BR en ar" {
			t.Errorf("%v, %v", document, err)
		}
	})
	t.Run("refuses an image that is not the brand's", func(t *testing.T) {
		if response, _ := get("/brand/0000000000000000.svg", ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("%d", response.StatusCode)
		}
	})
	server.stop()
	if err := server.ended(); err != nil {
		t.Error(err)
	}
}

// Covers: KD-19. TestKD19BrandThatCannotBe: what is wrong with a file of the brand stops the start, with the configuration's file and
// line, the key, the file, its line and what would be right.
func TestKD19BrandThatCannotBe(t *testing.T) {
	write := func(name, text string) func(string) {
		return func(folder string) {
			file := filepath.Join(folder, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, one := range map[string]struct {
		change func(string)
		want   []string
	}{
		"a logo with a script": {write("brand/logo.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`),
			[]string{"brand.logo_file: ", "logo.svg: an SVG with the element script; a logo has none"}},
		"a logo of one language": {write("brand/logo-ar.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`),
			[]string{"brand.languages[1].logo_file: ", "logo-ar.svg: an SVG with the attribute onload"}},
		"an icon that is none": {write("brand/icon.png", "GIF89a"), []string{"brand.favicon_file: ", "icon.png: neither an SVG nor a PNG"}},
		"a message that there is not": {write("brand/messages/en/own.json", "{\n\"signin.headig\": \"x\"\n}"),
			[]string{"brand.messages_dir: ", filepath.FromSlash("brand/messages/en/own.json:2: signin.headig: there is no such message; did you mean signin.heading?")}},
		"a lost value":                 {write("brand/messages/en/own.json", `{"signin.heading": "Hello"}`), []string{"own.json:1: signin.heading: the value {bank} is missing"}},
		"a folder of another language": {write("brand/messages/de/own.json", `{}`), []string{"brand.messages_dir: ", "de: is no language of the pages; they are pt-BR, en, ar"}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			i, _, err := branded(t, one.change)
			if err == nil {
				t.Fatal("it starts")
			}
			for _, want := range append(one.want, i.File+":") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %s", err, want)
				}
			}
			if !regexp.MustCompile(regexp.QuoteMeta(i.File) + `:[0-9]+: brand\.`).MatchString(err.Error()) {
				t.Errorf("it names no line: %v", err)
			}
		})
	}
	t.Run("refuses a language that nobody speaks", func(t *testing.T) {
		_, _, err := branded(t, func(folder string) {
			file := filepath.Join(folder, "countersign.toml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), `locales = "pt-BR en ar"`, `locales = "pt-BR en ar tlh"`, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if err == nil || !strings.Contains(err.Error(), `brand.locales: there is no catalogue of the language "tlh"`) {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts it mended", func(t *testing.T) {
		if _, _, err := branded(t, nil); err != nil {
			t.Error(err)
		}
	})
}
