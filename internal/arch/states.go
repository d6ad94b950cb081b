package arch

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Lane is one kind of record, and the verbs of package store that move it from state to state.
type Lane struct {
	Record string
	// Steps lead from nothing to the last state.
	Steps []Step
	// Back, if set, leads from the last but one state back to the one before.
	Back string
	// Notes are the verbs that count or read without moving the record, and what ends it besides its time.
	Notes string
}

// Step is a verb, or several of which each does, and the state after it.
type Step struct {
	// Verbs are methods of the interfaces of package store.
	Verbs []string
	State string
	// Once says that of all callers one wins.
	Once bool
	// Or is the other state that the verb may lead to.
	Or string
}

// Lanes are what becomes of the records of an authorization, from the request to the tokens.
func Lanes() []Lane {
	return []Lane{
		{Record: "request", Steps: []Step{
			{Verbs: []string{"Push"}, State: "pushed"},
			{Verbs: []string{"Finish"}, State: "answered", Once: true},
		}, Notes: "Open reads it for a browser, with the sign-in and the consent of its user."},
		{Record: "interaction", Steps: []Step{
			{Verbs: []string{"BeginInteraction"}, State: "begun"},
			{Verbs: []string{"SignIn"}, State: "signed in"},
			{Verbs: []string{"Finish"}, State: "answered", Once: true},
		}, Notes: "Interaction reads it for its browser. SignInFailed counts."},
		{Record: "session", Steps: []Step{
			{Verbs: []string{"SignIn", "StartSession"}, State: "signed in"},
			{Verbs: []string{"EndSession", "EndSessions"}, State: "ended"},
		}, Notes: "Session reads it. RedeemCode records the clients that get an ID token in it, which SessionClients lists."},
		{Record: "code", Steps: []Step{
			{Verbs: []string{"Finish"}, State: "issued", Once: true},
			{Verbs: []string{"RedeemCode"}, State: "consumed", Once: true},
		}, Notes: "CodeGrant reads it. RedemptionFailed counts. A second RedeemCode revokes the grant."},
		{Record: "client of a directory", Steps: []Step{
			{Verbs: []string{"RegisterClient"}, State: "served", Once: true},
			{Verbs: []string{"PutStanding"}, State: "suspended"},
		}, Notes: "PutStanding restores it, too; a later standing counts more. DirectoryClients lists them."},
		{Record: "grant", Steps: []Step{
			{Verbs: []string{"Finish", "DecideBackchannel", "IssueToken"}, State: "valid", Once: true},
			{Verbs: []string{"RevokeGrant", "EndAccess", "EndClientGrant"}, State: "revoked"},
		}, Notes: "ManagedGrant reads it. Also revoked by a grant that takes its place, a second RedeemCode, DeleteClient, PutStanding and EraseUser. While its user is disabled it is as if revoked."},
		{Record: "access token", Steps: []Step{
			{Verbs: []string{"RedeemCode", "RedeemBackchannel", "Refresh", "IssueToken"}, State: "valid"},
			{Verbs: []string{"RevokeAccessToken"}, State: "revoked"},
		}, Notes: "AccessGrant reads the grant behind it. It ends with its grant."},
		{Record: "refresh token", Steps: []Step{
			{Verbs: []string{"RedeemCode", "RedeemBackchannel"}, State: "valid"},
			{Verbs: []string{"RevokeGrant"}, State: "ended"},
		}, Notes: "RefreshGrant reads it. Refresh leaves it as it is: refresh tokens do not rotate."},
		{Record: "backchannel request", Steps: []Step{
			{Verbs: []string{"StartBackchannel"}, State: "pending"},
			{Verbs: []string{"DecideBackchannel"}, State: "allowed", Or: "denied", Once: true},
			{Verbs: []string{"RedeemBackchannel"}, State: "consumed", Once: true},
		}, Notes: "PollBackchannel sets the time of the next poll. BackchannelRequest and PendingBackchannel read."},
		{Record: "organisation that asks", Steps: []Step{
			{Verbs: []string{"DecideBackchannel"}, State: "denied"},
			{Verbs: []string{"BlockBackchannel"}, State: "blocked"},
		}, Notes: "For each user. An approval ends the row of denials. BackchannelStanding and BlockedBackchannel read."},
		{Record: "ping", Steps: []Step{
			{Verbs: []string{"DecideBackchannel"}, State: "due", Once: true},
			{Verbs: []string{"ClaimPings"}, State: "leased", Once: true},
			{Verbs: []string{"PingDone"}, State: "deleted"},
		}, Back: "PingFailed, or the lease ends", Notes: "Only for a client that is notified; another one polls."},
		{Record: "logout notice", Steps: []Step{
			{Verbs: []string{"EndSession", "EndSessions"}, State: "due"},
			{Verbs: []string{"ClaimLogouts"}, State: "leased", Once: true},
			{Verbs: []string{"LogoutDone"}, State: "deleted"},
		}, Back: "LogoutFailed, or the lease ends", Notes: "Also by SignIn and StartSession as another user, EraseUser, and a late RedeemCode."},
		{Record: "lodged consent", Steps: []Step{
			{Verbs: []string{"LodgeConsent"}, State: "awaiting"},
			{Verbs: []string{"Finish", "DecideBackchannel"}, State: "authorised", Or: "rejected", Once: true},
			{Verbs: []string{"EndConsent"}, State: "revoked", Or: "expired", Once: true},
		}, Notes: "BindConsent says who decides. SpendConsent consumes. What ends the grant revokes it. LodgedConsent, ListLodgedConsents and DueConsents read."},
		{Record: "consent notice", Steps: []Step{
			{Verbs: []string{"Finish", "DecideBackchannel", "SpendConsent", "EndConsent"}, State: "due"},
			{Verbs: []string{"ClaimConsentNotices"}, State: "leased", Once: true},
			{Verbs: []string{"ConsentNoticeDone"}, State: "deleted"},
		}, Back: "ConsentNoticeFailed, or the lease ends", Notes: "Also by whatever ends the grant."},
	}
}

const (
	laneHeight = 100
	laneMore   = 26 // for a second line of states
	stateWidth = 94
	laneStart  = 200
	stepWidth  = 178
)

// States draws the lanes, as SVG.
func States() string {
	lanes := Lanes()
	height := 96
	for _, lane := range lanes {
		height += lane.height()
	}
	var c strings.Builder
	fmt.Fprintf(&c, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title description" font-family="Helvetica, Arial, sans-serif">
<title id="title">The states of what is stored</title>
<desc id="description">%s</desc>
<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="%s" stroke="%s"/>
`, pictureWidth, height, html.EscapeString(describeLanes(lanes)), pictureWidth-1, height-1, paper, border)
	text := func(x, y int, size string, fill, more, words string) {
		fmt.Fprintf(&c, `<text x="%d" y="%d" font-size="%s" fill="%s"%s>%s</text>`+"\n", x, y, size, fill, more, html.EscapeString(words))
	}
	text(margin, 34, "17", ink, ` font-weight="bold"`, "The states of what is stored")
	text(margin, 55, "13", quiet, "", "An arrow is a verb of package store: one transaction, which does all that is written beside it in any row.")
	text(margin, 73, "13", quiet, "", "A thick arrow: of all callers one wins. Every record ends by its time, too.")
	top := 96
	for _, lane := range lanes {
		drawLane(&c, lane, top, text)
		top += lane.height()
	}
	c.WriteString("</svg>\n")
	return c.String()
}

// height is how much of the picture a lane takes.
func (l Lane) height() int {
	if l.Back != "" || slices.ContainsFunc(l.Steps, func(s Step) bool { return s.Or != "" }) {
		return laneHeight + laneMore
	}
	return laneHeight
}

func drawLane(c *strings.Builder, lane Lane, top int, text func(x, y int, size string, fill, more, words string)) {
	fmt.Fprintf(c, `<line x1="%d" y1="%d" x2="%d" y2="%[2]d" stroke="%[4]s" stroke-width="1"/>`+"\n", margin, top, pictureWidth-margin, border)
	middle := top + 44
	text(margin, middle+5, "13.5", ink, ` font-weight="bold"`, lane.Record)
	text(laneStart, top+lane.height()-14, "12.5", quiet, "", lane.Notes)
	fmt.Fprintf(c, `<circle cx="%d" cy="%d" r="5" fill="%s"/>`+"\n", laneStart, middle, ink)
	x := laneStart + 5
	for i, step := range lane.Steps {
		long := stepWidth
		if len(step.Verbs) > 1 {
			long += 86
		}
		end := x + long - 30
		drawArrow(c, x, end, middle, step.Once)
		drawVerbs(step.Verbs, (x+end-6)/2, middle, text)
		x = drawState(c, end, middle, i == len(lane.Steps)-1, step, text)
		if lane.Back != "" && i == 1 {
			text((2*end+30-stepWidth)/2, middle+32, "12.5", ink, ` text-anchor="middle"`, lane.Back)
			back := fmt.Sprintf("M%d %dV%dH%dV%d", end+20, middle+16, middle+39, end-stepWidth+10, middle+22)
			fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="1.25" stroke-dasharray="5 4"/>`+"\n", back, ink)
			fmt.Fprintf(c, `<path d="M%d %dL%d %dL%d %dZ" fill="%s"/>`+"\n", end-stepWidth+5, middle+23, end-stepWidth+10, middle+15, end-stepWidth+15, middle+23, ink)
		}
	}
}

func drawArrow(c *strings.Builder, from, to, y int, thick bool) {
	width, colour := "1.25", ink
	if thick {
		width, colour = "3", accent
	}
	fmt.Fprintf(c, `<line x1="%d" y1="%d" x2="%d" y2="%[2]d" stroke="%[4]s" stroke-width="%[5]s"/>`+"\n", from, y, to-9, colour, width)
	fmt.Fprintf(c, `<path d="M%d %dL%d %dL%d %dZ" fill="%s"/>`+"\n", to-10, y-6, to, y, to-10, y+6, colour)
}

// drawVerbs writes two verbs above the arrow and the others below.
func drawVerbs(verbs []string, x, y int, text func(x, y int, size string, fill, more, words string)) {
	lines := []string{strings.Join(verbs[:min(2, len(verbs))], ", "), strings.Join(verbs[min(2, len(verbs)):], ", ")}
	for i, line := range lines {
		if line != "" {
			text(x, y-9+29*i, "12.5", ink, ` text-anchor="middle"`, line)
		}
	}
}

// drawState draws the state after a step, and gives where the next arrow begins.
func drawState(c *strings.Builder, x, y int, last bool, step Step, text func(x, y int, size string, fill, more, words string)) int {
	fill, stroke := soft, accent
	if last {
		fill, stroke = grey, quiet
	}
	fmt.Fprintf(c, `<rect x="%d" y="%d" width="%d" height="30" rx="15" fill="%s" stroke="%s" stroke-width="1.25"/>`+"\n", x, y-15, stateWidth, fill, stroke)
	text(x+stateWidth/2, y+5, "13.5", ink, ` text-anchor="middle"`, step.State)
	if step.Or != "" {
		fmt.Fprintf(c, `<path d="M%d %dV%dH%d" fill="none" stroke="%s" stroke-width="3"/>`+"\n", x-36, y, y+31, x-9, accent)
		fmt.Fprintf(c, `<path d="M%d %dL%d %dL%d %dZ" fill="%s"/>`+"\n", x-10, y+25, x, y+31, x-10, y+37, accent)
		fmt.Fprintf(c, `<rect x="%d" y="%d" width="%d" height="24" rx="12" fill="%s" stroke="%s" stroke-width="1.25"/>`+"\n", x, y+19, stateWidth, grey, quiet)
		text(x+stateWidth/2, y+36, "13.5", ink, ` text-anchor="middle"`, step.Or)
	}
	return x + stateWidth
}

// describeLanes says in words what the picture shows.
func describeLanes(lanes []Lane) string {
	var words strings.Builder
	for _, lane := range lanes {
		fmt.Fprintf(&words, "%s: ", strings.ToUpper(lane.Record[:1])+lane.Record[1:])
		for i, step := range lane.Steps {
			if i > 0 {
				words.WriteString(", then ")
			}
			fmt.Fprintf(&words, "%s by %s", step.State, strings.Join(step.Verbs, " or "))
			if step.Or != "" {
				fmt.Fprintf(&words, " (or %s)", step.Or)
			}
		}
		words.WriteString(". ")
	}
	return strings.TrimSpace(words.String())
}
