package console

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is columns of text.
type Table struct{ *tabwriter.Writer }

// NewTable begins one, with a header if there is one.
func NewTable(to io.Writer, header ...string) Table {
	t := Table{tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)}
	if len(header) > 0 {
		t.Row(header...)
	}
	return t
}

// Row adds a row. Stored text cannot write outside its cell. Flush returns the error of writing.
func (t Table) Row(cells ...string) {
	for i, cell := range cells {
		cells[i] = OneLine(cell)
	}
	fmt.Fprintln(t.Writer, strings.Join(cells, "\t"))
}

// WriteJSON writes a value, indented.
func WriteJSON(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// WriteJSONLines writes JSON, one object a line.
func WriteJSONLines[T any](to io.Writer, all []T) error {
	lines := json.NewEncoder(to)
	lines.SetEscapeHTML(false)
	for _, one := range all {
		if err := lines.Encode(one); err != nil {
			return err
		}
	}
	return nil
}

// List writes what was listed: as a table with a header, a row for each, or as JSON, one object a line.
func List[T any](to io.Writer, asJSON bool, all []T, header []string, row func(T) []string) error {
	if asJSON {
		return WriteJSONLines(to, all)
	}
	table := NewTable(to, header...)
	for _, one := range all {
		table.Row(row(one)...)
	}
	return table.Flush()
}
