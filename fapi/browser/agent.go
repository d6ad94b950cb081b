package browser

import (
	"net/http"
	"strings"
)

// AgentOf returns which browser a request comes from, and on which system, as far as the browser says it: "Firefox/Linux". It is
// empty when either is not known. It is shown to users, and decides nothing.
func AgentOf(r *http.Request) string {
	agent := r.UserAgent()
	// The first that fits: browsers name those that they want to be taken for, too.
	name := first(agent, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	})
	system := first(agent, [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	})
	if name == "" || system == "" {
		return ""
	}
	return name + "/" + system
}

// first returns the name of the first mark that is in a text.
func first(text string, marks [][2]string) string {
	for _, mark := range marks {
		if strings.Contains(text, mark[0]) {
			return mark[1]
		}
	}
	return ""
}
