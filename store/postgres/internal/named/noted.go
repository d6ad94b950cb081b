package named

// Noted is a statement that changes rows and returns them, as one that stores evidence with them ([Arguments.Evidence]) and reports
// whether there was any. Where several rows may change, the evidence is of each.
func Noted(statement string) string {
	return `WITH changed AS (` + statement + `), noted AS (` + InsertEvidence + ` CROSS JOIN changed) SELECT EXISTS (SELECT FROM changed)`
}
