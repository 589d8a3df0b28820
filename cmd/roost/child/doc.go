// Package child runs a command as a child process on whose life something depends.
//
//	var r child.Runner
//	go r.Reap(ctx)
//	p, err := r.Start(child.Command{Args: args, Grace: 10 * time.Second})
//	select {
//	case <-p.Done():
//	case s := <-signals:
//		p.Signal(s)
//	}
//	exit := p.Stop(ctx)
//
// The child and what it starts are one process group of their own, unless standard input is
// a terminal: then they share it with this process, as a shell's jobs do, and the terminal
// itself sends them its Ctrl-C. On Linux the child gets SIGTERM when this process dies,
// however it does.
package child
