package browser

import (
	"net/http"

	"countersign/fapi/endpoint"
)

// Timely has the routes that depend on time answer 503 while this node's clock is wrong, which is what wrong says: users by a page,
// clients by an error.
func Timely(table []endpoint.Route, page ErrorPage, wrong func() error) []endpoint.Route {
	for i := range table {
		if table[i].Timeless {
			continue
		}
		serve := table[i].Serve
		table[i].Serve = func(w http.ResponseWriter, r *http.Request, at endpoint.At) {
			err := wrong()
			switch {
			case err == nil:
				serve(w, r, at)
			case endpoint.Prefers(r.Header.Get("Accept"), "text/html"):
				ShowError(page, w, r, err)
			default:
				endpoint.Refuse(w, r, err)
			}
		}
	}
	return table
}
