package measure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// marks are what a measured part of a page is between.
func marks(part string) (begin, end string) {
	return fmt.Sprintf("<!-- %s: begin -->\n", part), fmt.Sprintf("<!-- %s: end -->\n", part)
}

// WritePage writes a whole page: the text of its template, in which measured parts are empty between their marks, with
// one part as it was just measured and the others as the page has them.
func WritePage(file, template, part, measured string) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	page, err := renderPage(template, string(old), part, measured)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(page), 0o644)
}

// WritePart replaces one part of a page whose text is kept in the page itself: what is between "<!-- begin part -->" and
// "<!-- end part -->".
func WritePart(file, part, measured string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- begin "+part+" -->", "<!-- end "+part+" -->"
	before, rest, begins := strings.Cut(string(raw), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has lost the marks of its part %s", file, part)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+measured+"\n"+end+after), 0o644)
}

func renderPage(template, old, part, measured string) (string, error) {
	if begin, _ := marks(part); !strings.Contains(template, begin) {
		return "", fmt.Errorf("the page has no part %q", part)
	}
	var page strings.Builder
	for rest := template; ; {
		before, name, after, ok := cutMark(rest)
		if !ok {
			page.WriteString(rest)
			return page.String(), nil
		}
		begin, end := marks(name)
		_, after, ok = strings.Cut(after, end)
		if !ok {
			return "", fmt.Errorf("part %q has no end", name)
		}
		text := "\n" + measured + "\n"
		if name != part {
			_, kept, _ := strings.Cut(old, begin)
			text, _, _ = strings.Cut(kept, end)
		}
		page.WriteString(before + begin + text + end)
		rest = after
	}
}

// cutMark finds the next part.
func cutMark(text string) (before, name, after string, ok bool) {
	at := strings.Index(text, "<!-- ")
	for ; at >= 0; at = next(text, at) {
		name, after, ok = strings.Cut(text[at+len("<!-- "):], ": begin -->\n")
		if ok && !strings.Contains(name, "\n") {
			return text[:at], name, after, true
		}
	}
	return text, "", "", false
}

func next(text string, at int) int {
	more := strings.Index(text[at+1:], "<!-- ")
	if more < 0 {
		return -1
	}
	return at + 1 + more
}

// Prose is a page without its measured parts: what its template has to be.
func Prose(page string) string {
	var prose strings.Builder
	for {
		before, name, after, ok := cutMark(page)
		if !ok {
			return prose.String() + page
		}
		begin, end := marks(name)
		_, page, _ = strings.Cut(after, end)
		prose.WriteString(before + begin + end)
	}
}

// Table is rows of cells; the first row is the head.
type Table [][]string

// Markdown writes the table for a page.
func (t Table) Markdown() string {
	var out strings.Builder
	for i, row := range t {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			out.WriteString("|---" + strings.Repeat("|--:", len(row)-1) + "|\n")
		}
	}
	return out.String()
}

// Text writes the table for a terminal.
func (t Table) Text() string {
	var width []int
	for _, row := range t {
		for i, cell := range row {
			if len(width) <= i {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	for _, row := range t {
		for i, cell := range row {
			fmt.Fprintf(&out, "%-*s  ", width[i], cell)
		}
		out.WriteString("\n")
	}
	return out.String()
}
