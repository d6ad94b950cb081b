package rp_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/session"
	"countersign/rp/session/sqlstore"
)

// greeting is a page.
func greeting(w http.ResponseWriter, r *http.Request) {
	s, ok := rp.FromContext(r.Context())
	if !ok {
		fmt.Fprint(w, "Hello, whoever you are")
		return
	}
	fmt.Fprint(w, "Hello, ", s.Subject())
}

// The three lines: who is not signed in is sent to the provider, and comes back.
func Example() {
	bank := newBank()
	defer bank.Close()
	ctx, mux, key, home := context.Background(), http.NewServeMux(), loadKey(), http.HandlerFunc(greeting)

	app, err := rp.New(ctx, rp.Config{Issuer: bank.Issuer, BaseURL: "https://app.example", ClientID: "app", Key: key, Client: bank.trusting()})
	check(err)
	mux.Handle("/auth/", app.Handler("/auth"))
	mux.Handle("/", app.Require()(home))

	bank.customer(mux).opens("/")
	// Output: 200 Hello, sub-alice
}

// newApp is an application of the examples.
func newApp(bank *demo, change func(*rp.Config)) (*rp.App, *http.ServeMux) {
	config := rp.Config{Issuer: bank.Issuer, BaseURL: "https://app.example", ClientID: "client-1", Key: loadKey(), Client: bank.trusting()}
	if change != nil {
		change(&config)
	}
	app, err := rp.New(context.Background(), config)
	check(err)
	mux := http.NewServeMux()
	mux.Handle("/auth/", app.Handler("/auth"))
	mux.Handle("/", app.Session(http.HandlerFunc(greeting)))
	return app, mux
}

// Requirements are of any number; each is of the ID token, of the scopes, or the application's own.
func ExampleApp_Require() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, nil)

	clerks := app.Require(rp.ClaimEquals("sub", "sub-alice"), rp.ClaimFunc(func(_ *http.Request, claims rp.Claims) error {
		if claims["department"] != "payments" {
			return errors.New("not of the department")
		}
		return nil
	}))
	mux.Handle("/clerks", clerks(http.HandlerFunc(greeting)))
	mux.Handle("/members", app.Require(rp.ClaimEquals("sub", "sub-alice"))(http.HandlerFunc(greeting)))

	customer := bank.customer(mux)
	customer.opens("/members")
	customer.opens("/clerks")
	// Output:
	// 200 Hello, sub-alice
	// 403 Not allowed
}

// A page may require a stronger or a more recent login: whoever has not is sent to one, and comes back (RFC 9470).
func ExampleACR() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, nil)

	mux.Handle("/pay", app.Require(rp.ACR("urn:bank:passkey"), rp.MaxAuthAge(5*time.Minute))(http.HandlerFunc(greeting)))

	customer := bank.customer(mux)
	customer.opens("/auth/login")
	bank.ACR = "urn:bank:passkey" // with which the user signs in from now on
	customer.opens("/pay")
	// Output:
	// 200 Hello, sub-alice
	// 200 Hello, sub-alice
}

// An API that wants a stronger login says so in its answer; the user is sent to one.
func ExampleApp_StepUp() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, nil)

	mux.Handle("/transfer", app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := rp.FromContext(r.Context())
		answer := &http.Response{Header: http.Header{}} // of s.HTTPClient(r.Context()).Post(…)
		if s.Identity().ACR != "urn:bank:passkey" {
			answer.Header.Set("WWW-Authenticate", `DPoP error="insufficient_user_authentication", acr_values="urn:bank:passkey"`)
		}
		if app.StepUp(w, r, answer) {
			return
		}
		fmt.Fprint(w, "Transferred")
	})))

	customer := bank.customer(mux)
	customer.opens("/auth/login")
	bank.ACR = "urn:bank:passkey"
	customer.opens("/transfer")
	// Output:
	// 200 Hello, sub-alice
	// 200 Transferred
}

// A script gets a problem document, with the address of the login that helps.
func ExampleWithUnauthorized() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, nil)
	mux.Handle("/api/balance", app.Require(rp.WithUnauthorized(rp.Problem))(http.HandlerFunc(greeting)))

	request := httptest.NewRequest(http.MethodGet, "https://app.example/api/balance", nil)
	request.Header.Set("Accept", "application/json")
	answer := bank.customer(mux).sends(request)
	var problem struct{ Kind, Login string }
	check(json.Unmarshal(answer.Body.Bytes(), &problem))
	fmt.Println(answer.Code, problem.Kind, problem.Login)
	// Output: 401 login_required https://app.example/auth/login?return_to=%2Fapi%2Fbalance
}

// What a login is for stays with the browser, sealed; the hook has it back, typed, and may send the user on or refuse.
func ExampleApp_Login() {
	type order struct{ Number int }
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, func(c *rp.Config) {
		c.Hooks.AfterCallback = func(_ context.Context, login *rp.Login) error {
			var o order
			if err := login.State(&o); err != nil {
				return err
			}
			login.ReturnTo = fmt.Sprint("/orders/", o.Number)
			return login.Keep(o)
		}
	})
	mux.HandleFunc("/checkout", func(w http.ResponseWriter, r *http.Request) {
		payment := map[string]any{"type": "payment_initiation", "instructedAmount": map[string]string{"amount": "12.30", "currency": "EUR"}}
		app.Login(w, r, rp.WithState(order{Number: 7}), rp.WithAuthorizationDetails(payment), rp.WithMoreScopes("payments"))
	})
	mux.Handle("/orders/{number}", app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := rp.FromContext(r.Context())
		var o order
		check(s.Data(&o))
		fmt.Fprintf(w, "Order %d of %s", o.Number, s.Subject())
	})))

	bank.customer(mux).opens("/checkout")
	// Output: 200 Order 7 of sub-alice
}

// Who is signed in at the provider is signed in here without being asked; who is not goes on without.
func ExampleApp_Silent() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, nil)
	mux.Handle("/front", app.Silent()(http.HandlerFunc(greeting)))

	bank.customer(mux).opens("/front")
	// Output: 200 Hello, sub-alice
}

// The session's client sends its access token as it is bound, with a DPoP proof or by mutual TLS, and refreshes it when that is due.
func ExampleSession_HTTPClient() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, nil)
	mux.Handle("/accounts", app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := rp.FromContext(r.Context())
		response, err := s.HTTPClient(r.Context()).Get(bank.Issuer + "/resource")
		if errors.Is(err, rp.ErrLoginRequired) {
			app.Login(w, r, rp.WithReturnTo("/accounts"))
			return
		}
		check(err)
		defer response.Body.Close()
		fmt.Fprint(w, "The API answers ", response.StatusCode)
	})))

	bank.customer(mux).opens("/accounts")
	// Output: 200 The API answers 200
}

// UserInfo reads claims that the ID token does not have.
func ExampleSession_UserInfo() {
	bank := newBank()
	defer bank.Close()
	app, mux := newApp(bank, func(c *rp.Config) { c.Client.Scopes = []string{"openid", "email"} })
	mux.Handle("/profile", app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := rp.FromContext(r.Context())
		var user struct {
			Email string `json:"email"`
		}
		check(s.UserInfo(r.Context(), &user))
		fmt.Fprint(w, user.Email)
	})))

	bank.customer(mux).opens("/profile")
	// Output: 200 alice@example.com
}

// A logout ends the session here and at the provider. A link to [rp.Session.LogoutPath] does too, and no other site can make one.
func ExampleApp_Logout() {
	bank := newBank()
	defer bank.Close()
	_, mux := newApp(bank, func(c *rp.Config) { c.AfterLogout = "/bye" })

	customer := bank.customer(mux)
	customer.opens("/auth/login")
	customer.opens("/auth/logout")
	customer.posts("/auth/logout")
	// Output:
	// 200 Hello, sub-alice
	// 200 Sign out?
	// 200 Hello, whoever you are
}

// Sessions in a database: all nodes share them, refresh once, and learn of a logout at once. The cookie has a random id, the database
// its hash, and what it stores is sealed.
func ExampleConfig_database() {
	bank := newBank()
	defer bank.Close()
	secret := make([]byte, 32) // of a file or a key management service
	rand.Read(secret)

	db, err := sql.Open("sqlite3", "file:sessions?mode=memory&cache=shared")
	check(err)
	defer db.Close()
	store, err := sqlstore.New(db, sqlstore.SQLite)
	check(err)
	check(store.Create(context.Background()))
	keys, err := session.NewKeyRing(secret) // the current key, then previous ones
	check(err)

	_, mux := newApp(bank, func(c *rp.Config) {
		c.Sessions = session.Config{Store: store, Keys: keys, Rolling: 30 * time.Minute, Absolute: 8 * time.Hour}
		c.Client.Binding = client.DPoP(loadKey()) // the nodes share the key that tokens are bound to
	})
	bank.customer(mux).opens("/auth/login")
	// Output: 200 Hello, sub-alice
}

// Sessions in cookies need no database. They have no refresh token.
func ExampleConfig_cookies() {
	bank := newBank()
	defer bank.Close()
	secret := make([]byte, 32)
	rand.Read(secret)
	keys, err := session.NewKeyRing(secret)
	check(err)

	_, mux := newApp(bank, func(c *rp.Config) { c.Sessions = session.Config{Sealed: true, Keys: keys} })
	bank.customer(mux).opens("/auth/login")
	// Output: 200 Hello, sub-alice
}

// A provider that offers less is refused at the start, with all that it lacks; each weakness that is accepted has a name.
func ExampleConfig_plainProvider() {
	bank := newBank()
	defer bank.Close()

	_, mux := newApp(bank, func(c *rp.Config) {
		c.Key = client.Key{}
		c.Client.Profile = client.Plain
		c.Client.Weak = client.Weak{ClientSecret: true, NoPAR: true, NoIss: true, Bearer: true, RS256: true}
		c.Client.Auth = client.ClientSecretBasic("the secret of the provider's console")
	})
	bank.customer(mux).opens("/auth/login")
	// Output: 200 Hello, sub-alice
}

// The application's own pages take the place of the built-in ones.
func ExampleRenderer() {
	bank := newBank()
	defer bank.Close()
	_, mux := newApp(bank, func(c *rp.Config) {
		c.Render = func(w http.ResponseWriter, _ *http.Request, page rp.Page) {
			w.WriteHeader(page.Status)
			fmt.Fprintf(w, "<h1>Oh dear: %s</h1>", page.Kind)
		}
	})
	bank.customer(mux).opens("/auth/callback?state=old")
	// Output: 400 Oh dear: login_not_begun
}

// A user is asked on the telephone (CIBA); the provider's ping comes to /auth/ciba-ping, on any node.
func ExampleApp_Backchannel() {
	bank := newBank()
	defer bank.Close()
	decided := make(chan *client.BackchannelRequest, 1)
	app, mux := newApp(bank, func(c *rp.Config) {
		c.Hooks.OnPing = func(_ context.Context, request *client.BackchannelRequest) error {
			decided <- request
			return nil
		}
	})
	request, err := app.Backchannel(context.Background(), client.BackchannelOptions{LoginHint: "alice", BindingMessage: "K7P-42", Ping: true})
	check(err)

	ping := httptest.NewRequest(http.MethodPost, "https://app.example/auth/ciba-ping", jsonBody(map[string]string{"auth_req_id": request.AuthReqID}))
	ping.Header.Set("Authorization", "Bearer "+request.NotificationToken)
	fmt.Println(bank.customer(mux).sends(ping).Code)
	tokens, err := app.Client().Poll(context.Background(), <-decided)
	check(err)
	fmt.Println(tokens.Identity.Subject)
	// Output:
	// 204
	// sub-alice
}
