package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"countersign/bench/servers"
	"countersign/internal/flowclient"
)

// knownCookie is what a browser is known by that has signed in before.
const knownCookie = "__Host-countersign-known"

// passwordFloods are wrong passwords.
func passwordFloods() []flood {
	return []flood{{
		name: "wrong passwords from one address", honest: "sign-ins in new browsers",
		workers: 200, users: 2, think: 100 * time.Millisecond,
		prepare: func(_ context.Context, s *site) (attack, honest use, err error) {
			guess := s.guess(func(int) string { return attackAddress }, func(worker, number int) string {
				if worker%2 == 0 {
					return servers.Username
				}
				return fmt.Sprintf("user%d", number%150)
			})
			return guess, s.signIns(nil), nil
		},
	}, {
		name: "names sprayed from many addresses", honest: "sign-ins of an attacked user in a known browser",
		workers: 200, users: 2, think: 100 * time.Millisecond,
		prepare: func(ctx context.Context, s *site) (attack, honest use, err error) {
			known, err := s.known(ctx)
			guess := s.guess(func(worker int) string { return fmt.Sprintf("127.0.1.%d", 1+worker) }, func(worker, number int) string {
				if number%2 == 0 {
					return servers.Username
				}
				return fmt.Sprintf("user%d-%d", worker, number)
			})
			return guess, s.signIns(known), err
		},
	}}
}

// page is a page to sign in, in one browser.
type page struct {
	browser *flowclient.Browser
	address *url.URL
	form    flowclient.Form
}

// signIn opens the page on which users manage their devices.
func (s *site) signIn(ctx context.Context, b *flowclient.Browser) (*page, error) {
	opened, err := b.Open(ctx, s.Issuer+"/device/settings")
	if err != nil {
		return nil, err
	}
	forms, err := opened.Forms()
	if err != nil {
		return nil, err
	}
	for _, form := range forms {
		if form.Inputs["username"] && form.Inputs["password"] {
			return &page{b, opened.Address, form}, nil
		}
	}
	return nil, fmt.Errorf("the page has no form to sign in (status %d)", opened.Status)
}

// send sends a name and a password and returns the status: 303 for who is signed in.
func (p *page) send(ctx context.Context, username, password string) (int, error) {
	values := url.Values{}
	for name := range p.form.Values {
		values.Set(name, p.form.Values.Get(name))
	}
	values.Set("username", username)
	values.Set("password", password)
	values.Set("action", "sign-in")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.address.Scheme+"://"+p.address.Host)
	response, err := p.browser.HTTP.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, drain(response)
}

// guess is a use of an attacker: a wrong password, over one connection of each worker.
func (s *site) guess(address func(worker int) string, name func(worker, number int) string) use {
	var pages perWorker[*page]
	return func(ctx context.Context, worker, number int) (int, error) {
		var err error
		at := pages.of(worker, func() (opened *page) {
			opened, err = s.signIn(ctx, s.browser(s.from(address(worker), worker)))
			return opened
		})
		if err != nil || at == nil {
			pages.forget(worker)
			return 0, err
		}
		return at.send(ctx, name(worker, number), fmt.Sprintf("guess number %d", number))
	}
}

// signIns are honest uses: the page is opened, and the user signs in, in a new browser or with the cookie of one that is known.
func (s *site) signIns(known *http.Cookie) use {
	through := s.fromHonest()
	return func(ctx context.Context, worker, _ int) (int, error) {
		b := s.browser(through(worker))
		if known != nil {
			if err := s.keep(b, known); err != nil {
				return 0, err
			}
		}
		at, err := s.signIn(ctx, b)
		if err != nil {
			return 0, err
		}
		status, err := at.send(ctx, servers.Username, s.Password)
		if err == nil && status != http.StatusSeeOther {
			err = fmt.Errorf("the right password was answered %d", status)
		}
		return status, err
	}
}

// known signs in and gives the cookie by which the browser is known from then on, if it is.
func (s *site) known(ctx context.Context) (*http.Cookie, error) {
	b := s.browser(s.from(honestAddress, 0))
	at, err := s.signIn(ctx, b)
	if err != nil {
		return nil, err
	}
	if status, err := at.send(ctx, servers.Username, s.Password); err != nil || status != http.StatusSeeOther {
		return nil, fmt.Errorf("sign in once: status %d: %w", status, err)
	}
	for _, cookie := range b.HTTP.Jar.Cookies(at.address) {
		if cookie.Name == knownCookie {
			return cookie, nil
		}
	}
	return nil, nil // a release before it knew browsers
}

// keep has a browser keep one cookie.
func (s *site) keep(b *flowclient.Browser, cookie *http.Cookie) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	issuer, err := url.Parse(s.Issuer)
	if err != nil {
		return err
	}
	jar.SetCookies(issuer, []*http.Cookie{{Name: cookie.Name, Value: cookie.Value, Path: "/", Secure: true}})
	b.HTTP.Jar = jar
	return nil
}

// drain reads an answer to its end, so that its connection is used again.
func drain(response *http.Response) error {
	_, err := io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return err
}

// perWorker is something that each worker has, and makes when it is first needed.
type perWorker[T any] struct {
	mu   sync.Mutex
	have map[int]T
}

func (p *perWorker[T]) of(worker int, make func() T) T {
	p.mu.Lock()
	have, ok := p.have[worker]
	p.mu.Unlock()
	if ok {
		return have
	}
	have = make()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have == nil {
		p.have = map[int]T{}
	}
	p.have[worker] = have
	return have
}

func (p *perWorker[T]) forget(worker int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.have, worker)
}
