package server

import "context"

// way is how requests to an endpoint are answered.
type way struct {
	*endpoint
	// prompt, unless nil, answers where nothing has to be waited for; else its error is
	// errMayWait. It does not block.
	prompt func(context.Context, *request) (answer, error)
	handle func(context.Context, *request) (answer, error)
}

// newWays returns a way to each of the endpoints.
func (h *hours) newWays() []way {
	ways := make([]way, len(h.endpoints))
	for i, e := range h.endpoints {
		ways[i].endpoint = e
		switch e.name {
		case "lease-keepalive":
			ways[i].prompt, ways[i].handle = h.keepalivePromptly, h.keepalive
		case "lease-grant":
			ways[i].prompt, ways[i].handle = h.grantAgain, h.checked(h.grant)
		case "lease-revoke":
			ways[i].handle = h.checked(h.revoke)
		case "lease-get":
			ways[i].handle = h.checked(h.get)
		case "lease-list":
			ways[i].handle = h.checked(h.list)
		case "admin-revoke":
			ways[i].handle = h.checked(h.adminRevoke)
		}
	}
	return ways
}

// wayTo returns the way to the endpoint with that subject.
func (h *hours) wayTo(subject string) *way {
	for i := range h.ways {
		if h.ways[i].subject == subject {
			return &h.ways[i]
		}
	}
	return nil
}

// checked has handle called for requests that are sound whatever they ask for, inside
// their deadline.
func (h *hours) checked(handle func(context.Context, *request) (answer, error)) func(context.Context, *request) (answer, error) {
	return func(ctx context.Context, r *request) (answer, error) {
		if err := h.check(r); err != nil {
			return answer{}, err
		}
		ctx, end := h.deadline(ctx, r)
		defer end()
		return handle(ctx, r)
	}
}
