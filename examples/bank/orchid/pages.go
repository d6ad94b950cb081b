package main

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
)

//go:embed templates/*.html style.css orchid.svg
var files embed.FS

// bankName is the bank that this example connects to.
const bankName = "Northfold Bank"

// pageNames are the templates that are whole pages with the frame around them.
var pageNames = []string{"home", "connect", "accounts", "account", "bill", "waiting", "outcome", "connection", "ended", "problem"}

// pages are the templates of all pages, by name.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	parsed := pages{}
	for _, name := range pageNames {
		one, err := template.New("frame.html").ParseFS(files, "templates/frame.html", "templates/entries.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		parsed[name] = one
	}
	return parsed, nil
}

// page is what the frame shows, with what the page itself needs in Data.
type page struct {
	Title, Here string
	Narrow      bool
	Data        any

	// Host, Bank and, for who is connected, SignOut are filled in.
	Host, Bank, SignOut string
}

// policy lets a page have what is on it, and nothing else: no scripts, no frames, nothing of other hosts. The server of the bank is
// where the form of /connect ends (Content Security Policy Level 3 §6.4.1.1: redirects count).
func policy(issuer string) string {
	return "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + issuer
}

// headers are on each answer.
func headers(issuer string, next http.Handler) http.Handler {
	allowed := policy(issuer)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", allowed)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Strict-Transport-Security", "max-age=63072000")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// render writes a page.
func (o *orchid) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	text, err := o.rendered(r, name, p)
	if err != nil {
		o.log.ErrorContext(r.Context(), "page not rendered", "page", name, "error", err)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "This page cannot be shown.\n")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the response started; whoever is gone misses it
}

func (o *orchid) rendered(r *http.Request, name string, p page) ([]byte, error) {
	p.Host, p.Bank = r.Host, bankName
	if v, connected := visitorOf(r); connected {
		p.SignOut = v.session.LogoutPath()
	}
	var out bytes.Buffer
	err := o.pages[name].Execute(&out, p)
	return out.Bytes(), err
}

// renderUntil writes a page that goes on by itself: all of it but its end, which comes when done is closed and has the browser load
// the address again. So the page needs no script, and nobody polls. When the browser leaves first, nothing is written.
func (o *orchid) renderUntil(w http.ResponseWriter, r *http.Request, name string, p page, done <-chan struct{}) {
	text, err := o.rendered(r, name, p)
	beginning, end, found := bytes.Cut(text, []byte("</body>"))
	if err != nil || !found {
		o.render(w, r, http.StatusOK, name, p) // which says what is wrong
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // an nginx in front would keep the page until its end
	_, _ = w.Write(beginning)
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	select {
	case <-done:
		_, _ = io.WriteString(w, `<meta http-equiv="refresh" content="0">`+"\n</body>")
		_, _ = w.Write(end)
	case <-r.Context().Done():
	}
}

// euros writes an amount of the API, such as -1234.50, as people read it.
func euros(amount string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(amount, "-"); negative {
		sign, amount = "−", rest
	}
	whole, fraction, _ := strings.Cut(amount, ".")
	var grouped strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			grouped.WriteByte(',')
		}
		grouped.WriteRune(digit)
	}
	return sign + "€" + grouped.String() + "." + fraction
}

// groups writes an account number in fours.
func groups(iban string) string {
	var out strings.Builder
	for i, each := range iban {
		if i > 0 && i%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteRune(each)
	}
	return out.String()
}

// ending is an account number's last four.
func ending(iban string) string { return iban[max(0, len(iban)-4):] }

// day is today, yesterday, or the day and the month, and the year where it is another one than now's.
func day(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	const whole = "2 January 2006"
	switch {
	case at.Format(whole) == now.Format(whole):
		return "today"
	case at.Format(whole) == now.AddDate(0, 0, -1).Format(whole):
		return "yesterday"
	case at.Year() != now.Year():
		return at.Format(whole)
	}
	return at.Format("2 January")
}

func plural(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprint(count, " ", many)
}
