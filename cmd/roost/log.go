package main

import (
	"log/slog"
	"regexp"
	"strings"

	"github.com/roostbus/roost/modules/config"
)

// logger logs to standard error. c has been validated.
func (p *program) logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, opts))
	}
	return slog.New(slog.NewTextHandler(p.stderr, opts))
}

var (
	semver   = regexp.MustCompile(`^v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)$`)
	unlawful = regexp.MustCompile(`[^0-9A-Za-z.-]+`)
)

// semantic returns version as the semantic version that a NATS service must have. What is
// none, such as a commit, becomes the build part of 0.0.0.
func semantic(version string) config.Version {
	if m := semver.FindStringSubmatch(version); m != nil {
		return config.Version(m[1])
	}
	build := strings.Trim(unlawful.ReplaceAllString(version, "-"), "-.")
	if build == "" {
		return "0.0.0"
	}
	return config.Version("0.0.0+" + build)
}
