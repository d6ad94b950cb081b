package main

import (
	"fmt"
	"path"
	"strings"
)

// plan is one test plan of the suite in one variant.
type plan struct {
	// name is how users select it.
	name string
	// suitePlan is the suite's own name of the plan.
	suitePlan string
	variant   map[string]string
}

// usesCertificate tells whether the plan's clients call through the mTLS listener.
func (p plan) usesCertificate() bool {
	return p.variant["client_auth_type"] == "mtls" || p.variant["sender_constrain"] == "mtls"
}

// openID tells whether the plan asks for ID tokens.
func (p plan) openID() bool { return p.variant["openid"] == "openid_connect" }

// allPlans lists what can be selected. The rows are data; everything else follows from the variant.
func allPlans() []plan {
	var plans []plan
	for _, auth := range []string{"private_key_jwt", "mtls"} {
		for _, constrain := range []string{"dpop", "mtls"} {
			for _, openID := range []string{"openid_connect", "plain_oauth"} {
				plans = append(plans, plan{
					name:      fmt.Sprintf("fapi2-sp/%s+%s+%s", auth, constrain, openID),
					suitePlan: "fapi2-security-profile-final-test-plan",
					variant: map[string]string{
						"fapi_profile": "plain_fapi", "authorization_request_type": "simple",
						"client_auth_type": auth, "sender_constrain": constrain, "openid": openID,
					},
				})
			}
		}
	}
	return plans
}

// defaultPlans are run when none are selected.
const defaultPlans = "fapi2-sp/private_key_jwt+dpop+openid_connect,fapi2-sp/mtls+mtls+plain_oauth"

// selectPlans finds the plans that match a comma-separated list of names with * and ?.
func selectPlans(selectors string) ([]plan, error) {
	if selectors == "" {
		selectors = defaultPlans
	}
	var selected []plan
	for selector := range strings.SplitSeq(selectors, ",") {
		matched := false
		for _, p := range allPlans() {
			// A star also stands for what follows a slash: fapi2-sp* is all of them.
			fits, err := path.Match(strings.ReplaceAll(selector, "/", ":"), strings.ReplaceAll(p.name, "/", ":"))
			if err != nil {
				return nil, fmt.Errorf("-plans: %q is not a pattern: %w", selector, err)
			}
			if fits {
				matched = true
				selected = append(selected, p)
			}
		}
		if !matched {
			return nil, fmt.Errorf("-plans: nothing matches %q; -list shows the names", selector)
		}
	}
	return selected, nil
}
