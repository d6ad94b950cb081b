// Package routers shows a guard of package rs in chi, gin and echo. It is a module of its own, so that nobody who imports rs gets
// them.
package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"countersign/rs"
)

// Chi has middleware of net/http, and fills in r.PathValue.
func Chi(guard *rs.Guard) http.Handler {
	router := chi.NewRouter()
	router.With(guard.Require(rs.Scope("accounts"))).Get("/accounts", func(w http.ResponseWriter, r *http.Request) {
		token, _ := rs.FromContext(r.Context())
		_, _ = w.Write([]byte(token.Subject)) // response already started; error ignored
	})
	router.With(guard.Require(rs.ScopeFor("consent:{id}"))).Get("/consents/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.PathValue("id"))) // response already started; error ignored
	})
	return router
}

// Gin wraps the guard: what is refused is aborted, and what passes goes on with the request that has the token.
func Gin(guard *rs.Guard) http.Handler {
	require := func(requirements ...rs.Requirement) gin.HandlerFunc {
		protect := guard.Require(requirements...)
		return func(c *gin.Context) {
			passed := false
			protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				passed, c.Request = true, r
			})).ServeHTTP(c.Writer, c.Request)
			if !passed {
				c.Abort()
			}
		}
	}
	// A scope with a part of the address: gin has it in its own context, which the guard does not see.
	consent := func(c *gin.Context) {
		c.Request.SetPathValue("id", c.Param("id"))
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/accounts", require(rs.Scope("accounts")), func(c *gin.Context) {
		token, _ := rs.FromContext(c.Request.Context())
		c.String(http.StatusOK, "%s", token.Subject)
	})
	router.GET("/consents/:id", consent, require(rs.ScopeFor("consent:{id}")), func(c *gin.Context) { c.String(http.StatusOK, "%s", c.Param("id")) })
	return router
}

// Echo has a wrapper for middleware of net/http.
func Echo(guard *rs.Guard) http.Handler {
	require := func(requirements ...rs.Requirement) echo.MiddlewareFunc {
		return echo.WrapMiddleware(guard.Require(requirements...))
	}
	values := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			for _, name := range c.ParamNames() {
				c.Request().SetPathValue(name, c.Param(name))
			}
			return next(c)
		}
	}
	router := echo.New()
	router.GET("/accounts", func(c echo.Context) error {
		token, _ := rs.FromContext(c.Request().Context())
		return c.String(http.StatusOK, token.Subject)
	}, require(rs.Scope("accounts")))
	router.GET("/consents/:id", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("id")) }, values, require(rs.ScopeFor("consent:{id}")))
	return router
}
