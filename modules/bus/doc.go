// Package bus serves the registry on the bus.
package bus
