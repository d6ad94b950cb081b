package checklist

// floods lists what floods and prompt bombing must not reach, and what honest clients and users are given beside them.
func floods() []Item {
	return []Item{
		{ID: "FD-70", Section: "RFC 9101 §10", Requires: "a request object by value is one request in a browser, and evidence once"},
		{ID: "FD-71", Section: "RFC 9101 §10", Requires: "replays and rubbish use up nothing of the client, whose users are served beside"},
		{ID: "FD-72", Section: "JARM §2.4", Requires: "error responses that strangers cause are signed a few times for each address, and are no evidence"},
		{ID: "FD-73", Section: "RFC 9126 §7", Requires: "a request_uri begins one interaction in a browser, and few at an address, and its user is not kept out"},
		{ID: "FD-74", Section: "CIBA Core §15", Requires: "a user is asked only so often by one organisation and by all, and others keep places"},
		{ID: "FD-75", Section: "CIBA Core §15", Requires: "after three denials in a row the organisation pauses, twice as long after each further one"},
		{ID: "FD-76", Section: "CIBA Core §13", Requires: "a user can block an organisation, which is not told"},
		{ID: "FD-77", Section: "CIBA Core §7.1", Requires: "wrong user codes of one organisation lock out nobody else"},
		{ID: "FD-78", Section: "RFC 7591 §5", Requires: "slow hosts of one organisation hold up its own exchanges alone"},
		{ID: "FD-79", Section: "RFC 6749 §5.2", Requires: "what is not fetched for want of a slot is answered 503, and never blamed on the client"},
	}
}
