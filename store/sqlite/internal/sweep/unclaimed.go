package sweep

// EndUnclaimed ends the grants of codes or of backchannel requests that nobody redeemed, of those in a table that satisfy a condition
// (Grant Management for OAuth 2.0 §5.6). The arguments of the statement are the time now and those of the condition.
func EndUnclaimed(table, condition string) string {
	return `UPDATE grants SET expires_at = min(expires_at, ?) WHERE id IN (SELECT grant_id FROM ` + table + ` WHERE spent_at IS NULL AND ` +
		condition + `)`
}

// EndUnclaimedCodes is [EndUnclaimed] for codes.
func EndUnclaimedCodes(condition string) string { return EndUnclaimed("codes", condition) }
