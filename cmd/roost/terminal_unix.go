//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminalWidth returns how many columns the terminal behind w has, 0 if there is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// awaitNoReader returns when nobody can read any more what is written to w, or ctx is
// done: one who waits for something to write would not notice.
func awaitNoReader(ctx context.Context, w io.Writer) {
	f, ok := w.(*os.File)
	for ok && ctx.Err() == nil {
		about := []unix.PollFd{{Fd: int32(f.Fd())}} //nolint:gosec // it is small
		switch n, err := unix.Poll(about, 250); {
		case n > 0 && about[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			return
		case n > 0, err != nil && !errors.Is(err, unix.EINTR):
			ok = false
		}
	}
	<-ctx.Done()
}

// readerGone reports whether err says that nobody reads any more.
func readerGone(err error) bool { return errors.Is(err, unix.EPIPE) }
