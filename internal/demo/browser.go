package demo

import (
	"context"
	"net/url"
	"os/exec"
	"runtime"

	"countersign/internal/flowclient"
)

// play is the user with a browser: it follows redirects, fills in the forms, and stops at the redirect URI.
func (d *demo) play(ctx context.Context, address string) (url.Values, error) {
	browser, err := flowclient.NewBrowser(d.http.Transport)
	if err != nil {
		return nil, err
	}
	browser.Issuer, browser.Username, browser.Password = d.config.Issuer, d.config.Username, d.config.Password
	browser.Filled = func(page string) {
		if page == "sign-in" {
			d.screen.say("The sign-in page: " + d.config.Username + " types the password and signs in.")
			return
		}
		d.screen.say("The consent page: " + d.config.Username + " allows what the client asks for.")
	}
	return browser.Authorize(ctx, address, d.config.RedirectURI)
}

// OpenBrowser asks the desktop to open an address.
func OpenBrowser(address string) error {
	command := "xdg-open"
	if runtime.GOOS == "darwin" {
		command = "open"
	}
	return exec.Command(command, address).Start()
}
