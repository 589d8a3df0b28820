package client

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
)

func TestALooseLeaseIsBoundToNothingAndKeptAliveByHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		g, err := c.GrantLoose(t.Context(), LeaseOptions{TTL: ttl})
		if err != nil || g.Owner != bus.Owner(g.Secret) || g.TTL != ttl {
			t.Fatalf("got %+v, %v", g, err)
		}
		_, _, err = c.Register(t.Context(), payment("a"), Write{Owner: g.Owner})
		wantErr(t, err, ErrLeaseExpired) // this client does not know it

		gone := "0123456789012345678901"
		expired, err := c.KeepAlive(t.Context(), g.Secret, gone)
		if diff := cmp.Diff([]string{bus.Owner(gone)}, expired); err != nil || diff != "" {
			t.Errorf("got %v; %s", err, diff)
		}
		if beats := k.heard(); len(beats) != 1 || beats[0].told != nil {
			t.Errorf("got %+v; want one keepalive that tells of no connection", beats)
		}
		if _, err := c.RevokeSecret(t.Context(), g.Secret); err != nil || len(k.live) != 0 {
			t.Errorf("got %v, and %d leases", err, len(k.live))
		}
		_, err = c.RevokeSecret(t.Context(), g.Secret)
		wantErr(t, err, ErrLeaseExpired)
	})
}

func TestWhoKnowsASecretActsAsItsOwner(t *testing.T) {
	t.Parallel()
	const secret = "0123456789012345678901"
	owner, err := OwnerOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOptions([]Option{WithSecrets(secret)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := c.guardOf(Write{Owner: owner}, bus.VerbRegister)
	if err != nil || guard.Lease != secret {
		t.Errorf("got %+v, %v", guard, err)
	}
	o.secrets = []string{"short"}
	_, err = open(nil, o)
	wantErr(t, err, ErrInvalid)
}

func TestAGrantWithoutTimeIsNone(t *testing.T) {
	t.Parallel()
	c, _ := scripted(t, reply("7", "1", `{"owner":"x"}`))
	_, k := newKeeper(t)
	c.line = k
	_, err := c.Grant(t.Context(), LeaseOptions{})
	wantUnknown(t, err)
}

// Of a lease whose end was asked for twice, because a reply was lost, it is no failure that it
// has ended; of one that somebody else has ended it is.
func TestAnEndWhoseReplyIsLostIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, one := range []struct {
			said bus.Code
			want error
			end  func(*Client) (int, error)
		}{
			{bus.CodeLeaseExpired, ErrLeaseExpired, func(c *Client) (int, error) {
				return c.RevokeSecret(t.Context(), "0123456789012345678901")
			}},
			{bus.CodeNotFound, ErrNotFound, func(c *Client) (int, error) {
				return c.AdminRevoke(t.Context(), bus.Owner("0123456789012345678901"), "")
			}},
		} {
			c, _ := scripted(t, silence, failure(one.said, "1"))
			if removed, err := one.end(c); err != nil || removed != 0 {
				t.Errorf("after a lost reply: %d, %v", removed, err)
			}
			c, _ = scripted(t, unheard, failure(bus.CodeUnavailable, "1"), failure(one.said, "1"))
			_, err := one.end(c)
			wantErr(t, err, one.want)
		}
	})
}
