package natstest

import "testing"

// LinkedProcess is a [Process] whose routes to the others are links that can be cut.
type LinkedProcess struct {
	*Process
	Links
}

// StartLinkedProcesses runs n servers in processes of their own, which replicate through
// links; one is a server of its own. It does not wait for them.
func StartLinkedProcesses(tb testing.TB, n int) []*LinkedProcess {
	tb.Helper()
	ports := FreePorts(tb, 2*n)
	all := make([]*LinkedProcess, n)
	for i := range n {
		all[i] = &LinkedProcess{Process: &Process{Name: clusterName(i), settings: settings{
			Name: clusterName(i), StoreDir: tb.TempDir(), Port: ports[n+i], ClusterPort: ports[i], Linked: true,
		}}}
	}
	for i, from := range all {
		for j, to := range all {
			if i == j {
				continue
			}
			link := Through(tb, "nats://"+loopback(ports[j]))
			Join(&from.Links, &to.Links, link)
			from.settings.Routes = append(from.settings.Routes, link.Address())
		}
	}
	for _, one := range all {
		if n == 1 {
			one.settings.ClusterPort = 0
		}
		tb.Cleanup(one.Kill)
		one.Start(tb)
	}
	return all
}
