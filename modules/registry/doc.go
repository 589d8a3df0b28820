// Package registry provides the Backend that a node serves.
package registry
