package logout

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzRequest reads logout requests by GET and POST. What is accepted has each parameter once, is the same by both ways, and comes
// back whole out of the handle that is made of it; a handle that was not made here is refused.
func FuzzRequest(f *testing.F) {
	f.Add("id_token_hint=a.b.c&post_logout_redirect_uri=https%3A%2F%2Fclient.example%2Fout&state=x%26y", "")
	f.Add("client_id=a&client_id=b", "AAAA")
	f.Add("state=%ff&ui_locales=ar+pt-BR&%zz", "..")
	f.Add("state="+strings.Repeat("s", 3000), strings.Repeat("A", 100))
	key, now := seal("0123456789abcdef0123456789abcdef"), time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, query, handle string) {
		get := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: Path, RawQuery: query}, Header: http.Header{}}
		form, err := readRequest(httptest.NewRecorder(), get)
		post := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(query))
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		posted, errPosted := readRequest(httptest.NewRecorder(), post)
		if (err == nil) != (errPosted == nil) && len(query) <= 64<<10 {
			t.Fatalf("by GET %v, and by POST %v", err, errPosted)
		}
		if made, err := key.open(handle, now); err == nil {
			t.Fatalf("%q was not made here, and is read as %+v", handle, made)
		}
		if err != nil || errPosted != nil {
			return
		}
		if a, b := form.Values().Encode(), posted.Values().Encode(); a != b {
			t.Fatalf("by GET %s, and by POST %s", a, b)
		}
		want := asked{
			ClientID: form.Get("client_id"), Redirect: form.Get("post_logout_redirect_uri"), State: form.Get("state"),
			UILocales: form.Get("ui_locales"), Expires: now.Unix() + 1,
		}
		closed := key.close(want)
		if strings.ContainsAny(closed, "/?#%") {
			t.Fatalf("%q is no part of a path", closed)
		}
		got, err := key.open(closed, now)
		if err != nil || got != want {
			t.Fatalf("%+v became %+v: %v", want, got, err)
		}
		if _, err := key.open(closed, now.Add(time.Second)); err == nil {
			t.Fatal("a handle that is over was opened")
		}
		if _, err := seal("another key of the very same size").open(closed, now); err == nil {
			t.Fatal("a handle of another server was opened")
		}
		back, err := url.Parse(want.back())
		if err == nil && want.State != "" && want.Redirect == "https://client.example/out" && back.Query().Get("state") != want.State {
			t.Fatalf("state %q became %q", want.State, back.Query().Get("state"))
		}
	})
}
