package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What Picture draws with. Every colour is written out in each element, and the background too: a figure looks the same in
// every viewer, on light and on dark pages.
const (
	paper  = "#ffffff"
	border = "#cfd8d5"
	ink    = "#18211f"
	quiet  = "#4d5b58"
	accent = "#105748"
	soft   = "#e6f1ee"
	grey   = "#f0f2f1"

	pictureWidth = 980
	boxHeight    = 34
	rowHeight    = 58
	boxGap       = 12
	margin       = 24
)

// tone is how the boxes of a group look.
type tone struct{ fill, stroke, text string }

func toneOf(path string) tone {
	switch {
	case path == "fapi" || strings.HasPrefix(path, "fapi/"):
		return tone{accent, accent, paper}
	case path == Binary:
		return tone{paper, quiet, ink}
	case strings.HasPrefix(path, "internal/"), strings.Contains(path, "/internal/"):
		return tone{grey, border, ink}
	}
	return tone{soft, accent, ink}
}

// Picture draws the packages of the product in rows, as SVG: those of the binary, and those that others import. A package imports
// only from rows below its own.
func Picture(tree *Tree) string {
	rows := levels(tree)
	height := 92 + rowHeight*len(rows)
	var c strings.Builder
	fmt.Fprintf(&c, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title description" font-family="Helvetica, Arial, sans-serif">
<title id="title">The packages of Countersign</title>
<desc id="description">%s</desc>
<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="%s" stroke="%s"/>
`, pictureWidth, height, describe(rows), pictureWidth-1, height-1, paper, border)
	fmt.Fprintf(&c, `<text x="%d" y="34" font-size="17" font-weight="bold" fill="%s">The packages</text>`+"\n", margin, ink)
	fmt.Fprintf(&c, `<text x="%d" y="55" font-size="13" fill="%s">A package imports only from rows below its own. Dark: the rooms of fapi. Light: for others to import. Grey: internal.</text>`+"\n", margin, quiet)
	for i, row := range rows {
		drawRow(&c, row, 76+rowHeight*i)
	}
	c.WriteString("</svg>\n")
	return c.String()
}

// describe says in words what the picture shows.
func describe(rows [][]string) string {
	var lines []string
	for _, row := range rows {
		lines = append(lines, strings.Join(row, ", "))
	}
	return "From the top down, each row importing only from those below: " + strings.Join(lines, "; ") + "."
}

func drawRow(c *strings.Builder, row []string, y int) {
	total := boxGap * (len(row) - 1)
	for _, path := range row {
		total += boxWidth(path)
	}
	x := (pictureWidth - total) / 2
	for _, path := range row {
		width, look := boxWidth(path), toneOf(path)
		fmt.Fprintf(c, `<rect x="%d" y="%d" width="%d" height="%d" rx="7" fill="%s" stroke="%s"/>`+"\n", x, y, width, boxHeight, look.fill, look.stroke)
		fmt.Fprintf(c, `<text x="%d" y="%d" font-size="13.5" text-anchor="middle" fill="%s">%s</text>`+"\n", x+width/2, y+22, look.text, path)
		x += width + boxGap
	}
}

// boxWidth fits the name, in a font that each viewer chooses for itself.
func boxWidth(path string) int { return 8*len(path) + 16 }

// rowWidth is how much of the picture a row may take.
const rowWidth = pictureWidth - 2*margin

// levels sorts the packages of the product into rows. A package is one row above the highest of those that it imports; what
// imports nothing of ours is at the bottom. A row that is too long continues in a further one.
func levels(tree *Tree) [][]string {
	shipped := tree.Reachable(Binary)
	for _, each := range slices.Concat(protocols(), relyingParties()) {
		if !strings.HasSuffix(each.Path, "test") {
			maps.Copy(shipped, tree.Reachable(each.Path))
		}
	}
	level := map[string]int{}
	var of func(folder string) int
	of = func(folder string) int {
		if known, ok := level[folder]; ok {
			return known
		}
		highest := -1
		for _, imported := range tree.Ours(tree.Sources[folder].Imports) {
			highest = max(highest, of(imported))
		}
		level[folder] = highest + 1
		return highest + 1
	}
	rows := make([][]string, of(Binary)+1)
	for folder := range shipped {
		at := len(rows) - 1 - of(folder)
		rows[at] = append(rows[at], folder)
	}
	var broken [][]string
	for _, row := range rows {
		slices.Sort(row)
		broken = append(broken, breakRow(row)...)
	}
	return broken
}

func breakRow(row []string) [][]string {
	var rows [][]string
	var current []string
	width := 0
	for _, path := range row {
		if width += boxWidth(path) + boxGap; width > rowWidth && len(current) > 0 {
			rows, current, width = append(rows, current), nil, boxWidth(path)
		}
		current = append(current, path)
	}
	return append(rows, current)
}
