// Package display puts authorization_details (RFC 9396) into the words of people.
//
// What they are called, in which order they are read and how a value is written comes from the annotations "x-display" in the
// JSON Schema of a type. [Parse] reads them, and refuses a schema by which a value could be granted that nobody was shown:
// nothing can be hidden, and no name of a member is ever guessed into words. [Type.View] then has every value of an object in
// one language. Money is text from the request to the page, never a floating-point number.
package display

import (
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/fapi/scope"
	"countersign/internal/words"
)

// Kind is what a type is about, and so which page shows it.
type Kind string

// The kinds.
const (
	Payment   Kind = "payment"
	Recurring Kind = "recurring"
	Access    Kind = "access"
	Other     Kind = "other"
)

// Role is what a value is to the page: what headings and lists take, and what is computed from it.
type Role string

// The roles. Client is the application that asks: headings may hold it, and no value has it.
const (
	Amount       Role = "amount"
	Payee        Role = "payee"
	PayeeAccount Role = "payee-account"
	Reference    Role = "reference"
	Account      Role = "account"
	LimitPayment Role = "limit-payment"
	LimitPeriod  Role = "limit-period"
	Period       Role = "period"
	From         Role = "from"
	Until        Role = "until"
	Purpose      Role = "purpose"
	Client       Role = "client"
)

// rank is where a role is read, among values of one group that have no "order": account after the payee's, and so on.
func (r Role) rank() int {
	at := map[Role]int{
		LimitPeriod: 2, LimitPayment: 4, PayeeAccount: 10, Reference: 20, From: 30, Until: 32, Period: 40, Purpose: 5, Account: 60,
	}
	if rank, known := at[r]; known {
		return rank
	}
	return 50
}

// Format is how a value is written.
type Format string

// The formats.
const (
	Text      Format = "text"
	Money     Format = "money"
	IBAN      Format = "iban"
	AccountID Format = "account"
	Date      Format = "date"
	DateTime  Format = "date-time"
	Duration  Format = "duration"
	Count     Format = "count"
	YesNo     Format = "yes-no"
	Host      Format = "host"
	Choice    Format = "choice"
)

// Part is a piece of a sentence: words of the bank, or the value of a role.
type Part struct {
	Text string `json:"text"`
	Role Role   `json:"role,omitempty"`
	// Lang is the language of the text (BCP 47), if it is not that of the view.
	Lang string `json:"lang,omitempty"`
}

// Sentence is a sentence in pieces, so that a page can set the values apart.
type Sentence []Part

// String is the whole sentence.
func (s Sentence) String() string {
	var all strings.Builder
	for _, part := range s {
		all.WriteString(part.Text)
	}
	return all.String()
}

// View is one object of authorization_details as people read it, in one language. Its texts can be shown as they are: what
// cannot be seen in a value, or would move other text, is written with escapes.
type View struct {
	Type string `json:"type"`
	// Language is that of the texts (BCP 47).
	Language string `json:"language"`
	Kind     Kind   `json:"kind"`
	// Once reports that it allows one thing at once, so that no lifetime is shown.
	Once bool `json:"once,omitempty"`
	// Heading is the whole question, and Line the same in a list.
	Heading Sentence `json:"heading"`
	Line    Sentence `json:"line"`
	// Allow and Deny are the labels of the answers.
	Allow Sentence `json:"allow"`
	Deny  Sentence `json:"deny"`
	// Groups are the values in the order to read them.
	Groups []Group `json:"groups"`
}

// Group is what is read together.
type Group struct {
	ID string `json:"id,omitempty"`
	// Label may be empty.
	Label string `json:"label,omitempty"`
	// Lang is as in [Part].
	Lang  string `json:"lang,omitempty"`
	Lines []Line `json:"lines"`
}

// Line is one value, or one list of choices.
type Line struct {
	Label string `json:"label"`
	Value string `json:"value"`
	// Lang is the language of the label, and ValueLang that of the value, as in [Part].
	Lang      string `json:"lang,omitempty"`
	ValueLang string `json:"value_lang,omitempty"`
	// Hint is how a computed value came about, or empty.
	Hint   string `json:"hint,omitempty"`
	Role   Role   `json:"role,omitempty"`
	Format Format `json:"format,omitempty"`
	// Items are the entries of a list; Value has them all.
	Items []Item `json:"items,omitempty"`
	// Choose is set where the user chooses among Items; see [Line.Offer]. What is granted has only those.
	Choose Choose `json:"choose,omitempty"`
	// At is the JSON Pointer (RFC 6901) of the list to choose from in the object.
	At string `json:"at,omitempty"`
}

// Item is an entry of a list: what it is, and what it is in detail, or nothing.
type Item struct {
	Label  string `json:"label"`
	Detail string `json:"detail,omitempty"`
	// Lang and DetailLang are their languages, as in [Part].
	Lang       string `json:"lang,omitempty"`
	DetailLang string `json:"detail_lang,omitempty"`
	// Lines are further values of an entry to choose.
	Lines []Line `json:"lines,omitempty"`
	// Balance is what an account holds that was offered, or empty.
	Balance string `json:"balance,omitempty"`
}

// Row is a value as APIs have it: a [Line] with the heading that it is below. Choose says that the user chooses one or some of
// Items, of the list at the JSON Pointer At; what is allowed has only those.
type Row struct {
	Group  string `json:"group,omitempty"`
	Label  string `json:"label"`
	Value  string `json:"value"`
	Hint   string `json:"hint,omitempty"`
	Role   Role   `json:"role,omitempty"`
	Items  []Item `json:"items,omitempty"`
	Choose Choose `json:"choose,omitempty"`
	At     string `json:"at,omitempty"`
}

// Rows returns the lines of all groups, in their order; without any it is empty and not nil.
func (v View) Rows() []Row {
	rows := []Row{}
	for _, group := range v.Groups {
		for _, line := range group.Lines {
			rows = append(rows, Row{group.Label, line.Label, line.Value, line.Hint, line.Role, line.Items, line.Choose, line.At})
		}
	}
	return rows
}

// Has returns the text of a role in the heading or the groups, or "".
func (v View) Has(role Role) string {
	for _, part := range v.Heading {
		if part.Role == role {
			return part.Text
		}
	}
	for _, group := range v.Groups {
		for _, line := range group.Lines {
			if line.Role == role {
				return line.Value
			}
		}
	}
	return ""
}

// Once reports whether a request allows one thing at once, and nothing that lasts: its objects do, and of scopes it has at most
// openid. Then no lifetime is shown.
func Once(views []View, scopes []scope.Scope) bool {
	lasts := slices.ContainsFunc(views, func(v View) bool { return !v.Once }) ||
		slices.ContainsFunc(scopes, func(s scope.Scope) bool { return s.Name != "openid" })
	return len(views) > 0 && !lasts
}

// Asker is the application that asks.
type Asker struct {
	Name string
	// Names are by language, as in client_name#pt (RFC 7591 §2.2).
	Names map[string]string
}

// Languages are those in which a server speaks. It is immutable.
type Languages struct {
	catalogue *words.Catalogue
	// resources are the names of resource servers by their identifiers.
	resources map[string]string
}

// NewLanguages makes them of tags, the first for whoever wants none of them; all when there are none. Times are those of zone,
// or Greenwich's. override may be nil; otherwise it replaces single messages as [words.New] has it.
func NewLanguages(tags []string, zone *time.Location, override fs.FS) (*Languages, error) {
	if len(tags) == 0 {
		tags = words.Supported()
	}
	if zone == nil {
		zone = time.UTC
	}
	catalogue, err := words.New(tags, zone, override)
	if err != nil {
		return nil, fmt.Errorf("display: %w", err)
	}
	return &Languages{catalogue: catalogue}, nil
}

// OrAll returns the languages, and where there are none all that exist, English first.
func (l *Languages) OrAll() (*Languages, error) {
	if l != nil {
		return l, nil
	}
	return NewLanguages(nil, nil, nil)
}

// Match returns the tag of the language that fits the first of several lists that any fits; see [words.Catalogue.Match].
// Without languages it is "".
func (l *Languages) Match(lists ...string) string {
	if l == nil {
		return ""
	}
	return l.catalogue.Match(lists...).Tag
}

// Choose returns the tag of the language for a request: one that is wanted (ui_locales), else the browser's.
func (l *Languages) Choose(r *http.Request, wanted string) string {
	return l.Match(wanted, r.Header.Get("Accept-Language"))
}

func (l *Languages) first() *words.Language { return l.catalogue.Languages()[0] }
