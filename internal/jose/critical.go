package jose

import (
	"encoding/json"
	"fmt"
)

// readCritical reads the members that crit names: each has to be there, once, and the caller has to process it, which nobody does who
// is given a name of the specifications (RFC 7515 §4.1.11).
func readCritical(raw []byte, crit json.RawMessage, options ParseOptions) (map[string]json.RawMessage, error) {
	if crit == nil {
		return nil, nil
	}
	var names []string
	var members map[string]json.RawMessage
	if options.Critical == nil || json.Unmarshal(crit, &names) != nil || len(names) == 0 || json.Unmarshal(raw, &members) != nil {
		return nil, fmt.Errorf("%w: the header has crit, which is not accepted", ErrMalformed)
	}
	critical := map[string]json.RawMessage{}
	for _, name := range names {
		if value, there := members[name]; there && critical[name] == nil && options.Critical(name) {
			critical[name] = value
			continue
		}
		return nil, fmt.Errorf("%w: crit names a member that is not processed here, or is not there once", ErrMalformed)
	}
	return critical, nil
}
