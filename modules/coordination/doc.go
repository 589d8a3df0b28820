// Package coordination provides the node's part in the election of the keeper.
package coordination
