package fapitest

// signsHTTP registers a client that signs its requests to resources.
func HTTPSigning(_ *Client, m map[string]any) { m["http_message_signatures"] = true }
