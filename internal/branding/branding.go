// Package branding reads the brand of the pages that a configuration names.
package branding

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign/internal/brand"
	"countersign/internal/config"
	"countersign/internal/pages"
	"countersign/internal/words"
)

// Of reads the brand of the pages, with the files that it names. The error has a line for each problem, which begins with
// its key.
func Of(c config.Brand) (pages.Brand, error) {
	r := reader{}
	made := pages.Brand{
		Name: c.Name, Accent: c.Accent, HelpURI: c.HelpURI, PrivacyURI: c.PrivacyURI, AccessibilityURI: c.AccessibilityURI,
		Locales: strings.Fields(c.Locales), Languages: map[string]pages.BrandLanguage{},
		Logo: r.image("brand.logo_file", c.LogoFile), LogoDark: r.image("brand.logo_dark_file", c.LogoDarkFile),
		Favicon: r.image("brand.favicon_file", c.FaviconFile),
	}
	for i, l := range c.Languages {
		prefix := fmt.Sprintf("brand.languages[%d].", i)
		made.Languages[l.Language] = pages.BrandLanguage{
			Name: l.Name, HelpURI: l.HelpURI, PrivacyURI: l.PrivacyURI, AccessibilityURI: l.AccessibilityURI,
			Logo: r.image(prefix+"logo_file", l.LogoFile), LogoDark: r.image(prefix+"logo_dark_file", l.LogoDarkFile),
		}
	}
	var err error
	if made.Zone, err = time.LoadLocation(c.TimeZone); err != nil {
		r.problem("brand.time_zone", err)
	}
	if c.MessagesDir != "" {
		made.Words = os.DirFS(c.MessagesDir.Path())
	}
	r.words(made.Locales, made.Words, c.MessagesDir.Path())
	return made, errors.Join(r.problems...)
}

// reader gathers what is wrong.
type reader struct{ problems []error }

func (r *reader) problem(key string, err error) {
	r.problems = append(r.problems, fmt.Errorf("%s: %w", key, err))
}

// image reads a file that may be absent.
func (r *reader) image(key string, file config.File) *brand.Image {
	if file == "" {
		return nil
	}
	read, err := brand.ReadImage(file.Path())
	if err != nil {
		r.problem(key, fmt.Errorf("%s: %w", file, err))
		return nil
	}
	return read
}

// words tries the messages.
func (r *reader) words(locales []string, files fs.FS, folder string) {
	_, err := words.New(locales, time.UTC, files)
	problems, ok := errors.AsType[words.Problems](err)
	if !ok {
		if err != nil {
			r.problem("brand.messages_dir", err)
		}
		return
	}
	for _, problem := range problems {
		if problem.File == "" {
			r.problem("brand.locales", problem)
			continue
		}
		problem.File = filepath.Join(folder, filepath.FromSlash(problem.File))
		r.problem("brand.messages_dir", problem)
	}
}
