package adminlistener

import (
	"net/http"
	"strings"

	"countersign/internal/adminapi/access"
	"countersign/internal/adminconsole"
)

// console are the pages on which operators look things up. Each of them may look; what they see of persons is the console's matter.
func (o Options) console() ([]access.Route, error) {
	c := o.Console
	c.Store, c.Operator, c.Issuer, c.Now, c.Log = o.Store, operatorOf, o.Config.Issuer, o.Now, o.Log
	console, err := adminconsole.New(c)
	if err != nil {
		return nil, err
	}
	var routes []access.Route
	for _, page := range console.Routes() {
		routes = append(routes, access.Route{
			Method: http.MethodGet, Path: strings.TrimPrefix(page.Pattern, http.MethodGet+" "), Roles: []access.Role{access.Reader},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				page.Serve(w, r)
				return nil
			},
			Refuse: func(w http.ResponseWriter, r *http.Request, p *access.Problem) {
				console.Refuse(w, r, p.Status, p.Title(), p.Detail)
			},
		})
	}
	return routes, nil
}

// operatorOf is who was let in.
func operatorOf(r *http.Request) (adminconsole.Operator, bool) {
	known := access.From(r.Context())
	operator := adminconsole.Operator{Name: known.Name}
	for _, role := range known.Roles {
		operator.Roles = append(operator.Roles, string(role))
	}
	return operator, known.Name != ""
}
