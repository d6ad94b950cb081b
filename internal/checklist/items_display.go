package checklist

import "slices"

// display lists what is demanded of the words in which people read authorization_details.
func display() []Group {
	return []Group{{"KC", "Consent as people read it", slices.Concat([]Item{
		{ID: "KC-01", Section: "RFC 9396 §5, RFC 6901", Requires: "a type by which something could be granted that nobody is shown stops the start, by its JSON Pointer and the remedy"},
		{ID: "KC-02", Section: "EU RTS 2018/389 Article 5", Requires: "a payment is read as amount and payee, then in the order of the annotations, in the user's language or the first"},
		{ID: "KC-03", Section: "RFC 9396 §2.2", Requires: "recurring payments say the most that they can cost, computed exactly, or that there is no limit in all"},
		{ID: "KC-04", Section: "Unicode CLDR", Requires: "money, dates, lengths and account numbers are written by language, in Latin digits, never rounded or cut", NoRefusal: "there is nothing to refuse: what cannot be written is refused by KC-03"},
		{ID: "KC-05", Section: "RFC 9396 §5", Requires: "no value of an object is missing from what is read, and different objects are read differently", NoRefusal: "there is nothing to refuse: it is what pages show"},
		{ID: "KC-06", Section: "RFC 9396 §2.2", Requires: "access says what is seen by clusters with their detail, and names the application that asks"},
		{ID: "KC-07", Section: "EU RTS 2018/389 Article 5", Requires: "amount and payee are in the heading, the title and the list, the amount on the button; one payment shows no lifetime", NoRefusal: "there is nothing to refuse: it is what pages show"},
		{ID: "KC-08", Section: "RFC 9396 §2", Requires: "several objects are headed each, and the page is in the language that the decision is bound to", NoRefusal: "there is nothing to refuse: it is what pages show"},
		{ID: "KC-09", Section: "RFC 9396 §2", Requires: "ready types for the UK, Berlin Group, Brazil and the UAE are complete in each language, and usable by name"},
		{ID: "KC-10", Section: "EU RTS 2018/389 Article 5", Requires: "a passkey signs, and a form decides, the page as it was read, its language included"},
		{ID: "KC-11", Section: "EU RTS 2018/389 Article 5", Requires: "approval apps are handed the same words in the language they ask for, and their proof signs in which"},
		{ID: "KC-12", Section: "RFC 9396 §3", Requires: "consent that was read in another language grants nothing; the page is shown again"},
		{ID: "KC-13", Section: "RFC 9396 §2", Requires: "a list to choose from is shown with its entries; a schema by which a choice could not be made or shown stops the start"},
		{ID: "KC-14", Section: "RFC 9396 §2", Requires: "what is chosen is the object with those entries alone; more or other than was offered is no choice"},
		{ID: "KC-15", Section: "RFC 9396 §9", Requires: "grant, token, response, introspection and refresh have exactly what the user chose; nothing is granted without a choice"},
		{ID: "KC-16", Section: "EU RTS 2018/389 Article 5", Requires: "what was shown is what is stored and what the token and introspection say, for any request", NoRefusal: "what is other than asked is refused by KC-15, what was altered since by KC-20"},
		{ID: "KC-17", Section: "UK Open Banking CEG", Requires: "the page has an option for each account, none chosen beforehand, and says where nothing was chosen"},
		{ID: "KC-18", Section: "EU RTS 2018/389 Article 5", Requires: "on the device what to share is chosen first; the page and the passkey are for that alone"},
		{ID: "KC-19", Section: "RFC 9530 §2", Requires: "approval apps send what was chosen in the body that their proof signs; the audit log has its digest"},
		{ID: "KC-20", Section: "RFC 9396 §9", Requires: "a grant has the digest of what was allowed, and no tokens are issued for one that was altered since"},
		{ID: "KC-21", Section: "RTS (EU) 2022/2360", Requires: "a type says how long it lasts at most, an object until when; the shorter counts, and a day ends in the zone of the pages"},
		{ID: "KC-22", Section: "RFC 9396 §7", Requires: "grant, refresh and access tokens end with what was allowed, and what has ended cannot be asked for"},
		{ID: "KC-23", Section: "RFC 9396 §2.2", Requires: "pages say until when access lasts, and of what is allowed once that it is once", NoRefusal: "there is nothing to refuse: it is what pages show"},
		{ID: "KC-24", Section: "EU RTS 2018/389 Article 5", Requires: "only the user's own account and a CPF are abridged, never so that two read the same where one is chosen, and never who is paid"},
		{ID: "KC-25", Section: "RFC 9396 §2.2", Requires: "locations and resources are read by the name of the resource server, or its host", NoRefusal: "there is nothing to refuse: it is what pages show"},
		{ID: "KC-26", Section: "RFC 6749 §3.3", Requires: "no page for people has the words of developers in its text", NoRefusal: "there is nothing to refuse: pages are looked at"},
		{ID: "KC-27", Section: "RFC 9396 §2", Requires: "ready types read the members of their standards' texts, and their lines are in the order of a decision", NoRefusal: "there is nothing to refuse: the types are built in"},
		{ID: "KC-28", Section: "WCAG 2.2 SC 2.1.1, 1.4.10", Requires: "accounts are chosen by keyboard alone, and the page fits at 320 to 1280 pixels in each direction of writing"},
	}, displayRest())}}
}
