package memory

import (
	"go.uber.org/fx"

	"github.com/roostbus/roost/modules/supervision"
)

// Module has memory given back while the process runs.
var Module = fx.Module("memory", fx.Provide(NewService))

// Result is what NewService provides.
type Result struct {
	fx.Out

	Service supervision.Service `group:"services"`
}

// NewService hands a Releaser to the supervisor.
func NewService() Result {
	return Result{Service: supervision.Service{Name: "memory", Run: New().Run, Stage: supervision.Core}}
}
