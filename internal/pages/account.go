package pages

import (
	"net/http"
	"slices"
	"time"

	"countersign/fapi/account"
	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/internal/words"
)

// AccountPages renders the pages of a user's own account. [Pages.Account] makes it.
type AccountPages struct{ pages *Pages }

var _ account.Pages = AccountPages{}

// Account returns the pages of a user's own account.
func (p *Pages) Account() AccountPages { return AccountPages{p} }

// Fail implements [browser.ErrorPage].
func (a AccountPages) Fail(w http.ResponseWriter, r *http.Request, failure browser.Failure) {
	a.pages.Fail(w, r, failure)
}

// endsSoon is when a row says that it ends.
const endsSoon = 7 * 24 * time.Hour

// rowLines is how many lines say in a row what was allowed.
const rowLines = 3

// accountPart is what all pages of the account share.
type accountPart struct {
	FormToken, Username string
	// Base is the path of the account, Device that of the device's pages.
	Base, Device    string
	Problem, Notice string
	Confirms        bool
}

func (a AccountPages) accountPart(l *words.Language, page account.Page) accountPart {
	part := accountPart{
		FormToken: page.FormToken, Username: plain(page.SignedIn.Username, nameLimit), Base: a.pages.base + accountPath, Device: a.pages.base + "/device",
		Problem: deviceProblem(l, page.Problem), Confirms: page.Confirms,
	}
	client := ""
	if page.One != nil {
		client = viewClient(l, page.One.Client).Name
	}
	if page.Notice != "" {
		part.Notice = l.Text(noticeKey(page.Notice), "client", client)
	}
	return part
}

// accountPath is the path of the account, below the issuer.
const accountPath = "/account"

// noticeKey is the message of a notice.
func noticeKey(notice account.NoticeCode) string {
	switch notice {
	case account.AccessIsOver:
		return "notice.access_ended"
	case account.GrantIsOver:
		return "notice.grant_ended"
	case account.SessionIsOver:
		return "notice.session_ended"
	case account.SessionsAreOver:
		return "notice.sessions_ended"
	case account.PasskeyRemoved:
		return "notice.passkey_removed"
	case account.ApplicationRemoved:
		return "notice.device_removed"
	case account.NotificationsOff:
		return "notice.notifications_off"
	case account.BrowserForgotten:
		return "notice.browser_forgotten"
	}
	return "notice.browsers_forgotten"
}

// accessRow is what a user gave a client, in a list.
type accessRow struct {
	Address, Name string
	// Lines say what was allowed, of which Others are more; Facts are until when, and when it was used.
	Lines  []string
	Others int
	Facts  []string
	// Ends says that it ends soon, or is empty; Over that it has ended.
	Ends string
	Over bool
}

// overviewView is the page of everything.
type overviewView struct {
	accountPart
	Access, Payments []accessRow
	// More and MoreSessions report that there are more than these.
	More         string
	Passkeys     []passkeyRow
	Fresh        bool
	Applications []thingView
	Sessions     []sessionRow
	MoreSessions bool
	Notified     []thingView
	Known        []thingView
	Forgotten    string
}

// passkeyRow is a passkey; the last one is removed elsewhere.
type passkeyRow struct {
	thingView
	Last bool
}

// sessionRow is a sign-in.
type sessionRow struct {
	thingView
	Current bool
}

// endedView lists what has ended.
type endedView struct {
	accountPart
	Access []accessRow
	More   string
}

// accessView is what a user gave one client.
type accessView struct {
	accountPart
	Client clientView
	Over   bool
	// Alone reports that there is no grant, but that it need not ask again.
	Alone  bool
	Ends   string
	Grants []grantView
	// Several reports that there is more than one grant.
	Several bool
	More    string
}

// grantView is one decision.
type grantView struct {
	ID      string
	Heading string
	Active  bool
	// Cannot reports that its details cannot be shown.
	Cannot  bool
	Details []detailView
	Scopes  []scopeView
	Claims  []string
	// Resources are where it works.
	Resources    []string
	Given, Ended string
	// EndedBy is who ended it; Ends is when it does, while it is active.
	EndedBy, Ends, Used string
}

// Overview implements [account.Pages].
func (a AccountPages) Overview(w http.ResponseWriter, r *http.Request, page account.Page) {
	p, l := a.pages, a.pages.languageOf(r, page.Language, "")
	view := overviewView{
		accountPart: a.accountPart(l, page), More: page.MoreAccess, Fresh: page.Fresh, MoreSessions: page.MoreSessions,
	}
	for _, each := range page.Access {
		row, pays := a.accessRow(l, each)
		if pays {
			view.Payments = append(view.Payments, row)
			continue
		}
		view.Access = append(view.Access, row)
	}
	for _, each := range page.Passkeys {
		how := l.Text("settings.one_device")
		switch {
		case !each.ClonedAt.IsZero():
			how = l.Text("settings.cloned", "date", l.Date(each.ClonedAt))
		case each.Synced:
			how = l.Text("settings.synced")
		}
		view.Passkeys = append(view.Passkeys, passkeyRow{
			thingView{each.ID, plain(each.Name, nameLimit), facts(l, each.CreatedAt, each.UsedAt) + "; " + how}, each.Last,
		})
	}
	for _, each := range page.Applications {
		view.Applications = append(view.Applications, thingView{each.ID, plain(each.Name, nameLimit), facts(l, each.CreatedAt, each.UsedAt)})
	}
	for _, each := range page.Sessions {
		view.Sessions = append(view.Sessions, a.sessionRow(l, each))
	}
	for _, each := range page.Notified {
		view.Notified = append(view.Notified, thingView{each.ID, plain(each.Service, hostLimit), l.Text("browsers.since", "date", l.Date(each.CreatedAt))})
	}
	for _, each := range page.Known {
		view.Known = append(view.Known, thingView{each.ID, agentName(l, each.Browser, each.System),
			l.Text("browsers.used", "date", l.Date(each.CreatedAt), "used", l.Date(each.UsedAt))})
	}
	if !page.ForgottenAt.IsZero() {
		view.Forgotten = l.Text("browsers.forgotten", "when", l.When(page.ForgottenAt, p.now()))
	}
	a.renderAccount(w, r, page, shown{language: l, page: "account", body: view}, l.Text("device.account"))
}

// accessRow shows what a user gave a client; pays reports whether it can take money.
func (a AccountPages) accessRow(l *words.Language, given account.Access) (row accessRow, pays bool) {
	once := len(given.Grants) > 0
	row = accessRow{Address: a.pages.base + accountPath + "/access/" + given.ID, Name: viewClient(l, given.Client).Name}
	for _, g := range given.Grants {
		for _, detail := range g.Details {
			pays = pays || detail.Kind == display.Payment || detail.Kind == display.Recurring
			row.add(inLine(l, detail))
		}
		lasting := slices.DeleteFunc(slices.Clone(g.Scopes), func(s scope.Scope) bool {
			return s.Name == "offline_access" || s.Name == "openid" && len(g.Details) > 0
		})
		for _, s := range viewScopes(l, lasting) {
			row.add(s.Sentence)
		}
		once = once && display.Once(g.Details, g.Scopes)
		if g.Unreadable {
			row.add(l.Text("access.cannot_show"))
		}
	}
	if row.Others = max(0, len(row.Lines)-rowLines); row.Others > 0 {
		row.Lines = row.Lines[:rowLines]
	}
	switch left := given.ExpiresAt.Sub(a.pages.now()); {
	case !given.EndedAt.IsZero():
		row.Over, row.Facts = true, []string{l.Text("account.ended_on", "date", l.Date(given.EndedAt))}
		if given.EndedBy != "" {
			row.Facts = append(row.Facts, l.Text(endedBy(given.EndedBy))+".")
		}
		return row, pays
	case once:
		row.Facts = []string{l.Text("account.agreed", "date", l.Date(given.LastAt))}
		return row, pays
	case left < endsSoon:
		row.Ends = l.Text("account.ends_in", "duration", l.Duration(left))
	}
	if given.Count == 0 {
		row.add(l.Text("account.asks_again"))
	}
	row.Facts = []string{a.used(l, given), l.Text("account.until", "date", l.Date(given.ExpiresAt))}
	return row, pays
}

// inLine says in a line what an object allows: a question, which is what a type has by itself, is no line for it.
func inLine(l *words.Language, detail display.View) string {
	if line := detail.Line.String(); line != detail.Heading.String() {
		return line
	}
	for _, group := range detail.Groups {
		for _, line := range group.Lines {
			return l.Text("account.line", "label", line.Label, "value", line.Value)
		}
	}
	return detail.Heading.String()
}

// add adds a line that is not there yet.
func (row *accessRow) add(line string) {
	for _, known := range row.Lines {
		if known == line {
			return
		}
	}
	row.Lines = append(row.Lines, line)
}

// used says when something was last used, to a day.
func (a AccountPages) used(l *words.Language, given account.Access) string {
	switch {
	case given.UsedAt.IsZero() || given.UsedAt.Before(given.LastAt):
		return l.Text("account.unused", "date", l.Date(given.LastAt))
	case l.Date(given.UsedAt) == l.Date(a.pages.now()):
		return l.Text("account.used_today")
	}
	return l.Text("account.used_on", "date", l.Date(given.UsedAt))
}

func (a AccountPages) sessionRow(l *words.Language, s account.Session) sessionRow {
	since := map[account.Method]string{
		account.WithPasskey: "sessions.passkey", account.WithPassword: "sessions.password", account.WithSomething: "sessions.since",
	}[s.Method]
	return sessionRow{thingView{s.ID, agentName(l, s.Browser, s.System), l.Text(since, "when", l.When(s.SignedInAt, a.pages.now()))}, s.Current}
}

// agentName is what a browser says of itself.
func agentName(l *words.Language, name, system string) string {
	if name == "" || system == "" {
		return l.Text("sessions.unknown")
	}
	return l.Text("sessions.agent", "browser", plain(name, nameLimit), "system", plain(system, nameLimit))
}

// Ended implements [account.Pages].
func (a AccountPages) Ended(w http.ResponseWriter, r *http.Request, page account.Page) {
	l := a.pages.languageOf(r, page.Language, "")
	view := endedView{accountPart: a.accountPart(l, page), More: page.MoreAccess}
	for _, each := range page.Access {
		row, _ := a.accessRow(l, each)
		view.Access = append(view.Access, row)
	}
	a.renderAccount(w, r, page, shown{language: l, page: "account_ended", body: view}, l.Text("account.ended"))
}

// Access implements [account.Pages].
func (a AccountPages) Access(w http.ResponseWriter, r *http.Request, page account.Page) {
	p, l, one := a.pages, a.pages.languageOf(r, page.Language, ""), *page.One
	view := accessView{
		accountPart: a.accountPart(l, page), Client: viewClient(l, one.Client), Over: !one.EndedAt.IsZero(), More: page.MoreGrants,
		Several: len(one.Grants) > 1, Alone: one.Count == 0,
	}
	if left := one.ExpiresAt.Sub(p.now()); !view.Over && left < endsSoon {
		view.Ends = l.Text("account.ends_in", "duration", l.Duration(left))
	}
	for _, each := range one.Grants {
		view.Grants = append(view.Grants, a.grantView(l, each))
	}
	a.renderAccount(w, r, page, shown{language: l, page: "account_access", body: view}, l.Text("access.title", "client", view.Client.Name))
}

func (a AccountPages) grantView(l *words.Language, g account.Grant) grantView {
	now := a.pages.now()
	view := grantView{
		ID: g.ID, Active: g.State == account.Active, Cannot: g.Unreadable, Details: viewDetails(decided(g.Details), nil, false), Scopes: viewScopes(l, g.Scopes),
		Claims: viewClaims(l, g.Claims), Given: words.Capital(l.When(g.GivenAt, now)), Heading: l.Text("access.decided", "date", l.Date(g.GivenAt)),
	}
	if one := alone(g.Details); one.Line.String() != one.Heading.String() {
		view.Heading = one.Line.String()
	}
	for _, each := range g.ResourceNames {
		view.Resources = append(view.Resources, plain(each, sentenceLimit))
	}
	switch {
	case view.Active && display.Once(g.Details, g.Scopes):
	case view.Active:
		view.Ends = l.Date(g.ExpiresAt)
		view.Used = l.Text("access.used_not")
		if !g.UsedAt.IsZero() {
			view.Used = l.Date(g.UsedAt)
		}
	default:
		view.Ended, view.EndedBy = words.Capital(l.When(g.EndedAt, now)), l.Text(endedBy(g.State))
	}
	return view
}

// endedBy is the message of who ended a grant.
func endedBy(state account.State) string {
	switch state {
	case account.Expired:
		return "access.by_itself"
	case account.EndedByUser:
		return "access.by_you"
	case account.EndedByClient:
		return "access.by_application"
	case account.EndedByOperator:
		return "access.by_us"
	}
	return "access.by_others"
}

// wide is the class of pages that are more than a decision.
const wide = "wide"

// renderAccount writes a page of the account.
func (a AccountPages) renderAccount(w http.ResponseWriter, r *http.Request, page account.Page, shown shown, title string) {
	if page.Problem.Code != "" {
		title = shown.language.Text("title.problem", "page", title)
	}
	shown.status, shown.policy = statusOf(page.Problem), a.pages.policy.withOwnForm()
	a.pages.renderFrame(w, r, shown, frame{Title: title, Class: wide})
}
