package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/windows"
)

// terminalWidth returns how many columns the terminal behind w has, 0 if there is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	var info windows.ConsoleScreenBufferInfo
	if windows.GetConsoleScreenBufferInfo(windows.Handle(f.Fd()), &info) != nil {
		return 0
	}
	return int(info.Window.Right - info.Window.Left + 1)
}

// awaitNoReader returns when ctx is done: only a write shows that nobody reads.
func awaitNoReader(ctx context.Context, _ io.Writer) { <-ctx.Done() }

// readerGone reports whether err says that nobody reads any more.
func readerGone(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA)
}
