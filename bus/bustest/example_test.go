package bustest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/bus/bustest"
	"github.com/roostbus/roost/bus/client"
)

// Example has an instance crash and shows what is left of it.
func Example() {
	t := &recorder{} // in a test: t *testing.T
	defer t.clean()
	ctx := context.Background() // in a test: t.Context()

	r := bustest.Start(t)
	instance, observer := r.Client(t), r.Client(t)
	session, err := instance.NewSession(ctx, client.SessionOptions{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	key := client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: "i-1"}
	if _, _, err := session.Register(ctx, client.Registration{Key: key}, client.Write{}); err != nil {
		t.Fatalf("%v", err)
	}

	_, _, err = observer.Lookup(ctx, key, client.Read{})
	fmt.Println("there:", err == nil)
	r.EndLease(t, session.Lease().Owner())
	_, _, err = observer.Lookup(ctx, key, client.Read{})
	fmt.Println("gone:", errors.Is(err, client.ErrNotFound))
	// Output:
	// there: true
	// gone: true
}
