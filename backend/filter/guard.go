package filter

import (
	"reflect"

	"github.com/expr-lang/expr/ast"
)

// maxLoops is how many times an expression may go through a list.
const maxLoops = 4

// guard walks an expression before it is compiled. It refuses what could take long, and
// where the type of an operand is known only at run time it puts functions that never
// fail in the place of operators that would.
type guard struct {
	names   used
	loops   int
	problem string
	from    int // where the problem is, in runes
}

func (g *guard) refuse(node *ast.Node, problem string) {
	if g.problem == "" {
		g.problem, g.from = problem, (*node).Location().From
	}
	ast.Patch(node, &ast.NilNode{}) // nothing costly is left for the compiler
}

// Visit implements ast.Visitor; children come before their parents.
func (g *guard) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		g.name(node, n)
	case *ast.CallNode:
		g.refuse(node, "only the built-in functions can be called")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		g.refuse(node, "variables and sequences are not allowed")
	case *ast.MapNode, *ast.SliceNode:
		g.refuse(node, "maps and slices are not allowed")
	case *ast.BuiltinNode:
		if len(n.Arguments) == 2 {
			if p, loops := n.Arguments[1].(*ast.PredicateNode); loops {
				g.loop(node, n, p)
			}
		}
	case *ast.MemberNode:
		if unknown(n.Node) {
			call(node, "field()", n.Node, n.Property)
		}
	case *ast.UnaryNode:
		g.unary(node, n)
	case *ast.BinaryNode:
		g.binary(node, n)
	case *ast.ConditionalNode:
		truth(&n.Cond)
	}
}

func (g *guard) name(node *ast.Node, n *ast.IdentifierNode) {
	if n.Value == "$env" {
		g.refuse(node, "unknown name $env")
	}
	for i := range names {
		if names[i].name == n.Value {
			g.names[i] = true
		}
	}
}

func (g *guard) loop(node *ast.Node, n *ast.BuiltinNode, p *ast.PredicateNode) {
	if g.loops++; g.loops > maxLoops {
		g.refuse(node, "goes through lists too often")
		return
	}
	inner := &finder{}
	ast.Walk(&p.Node, inner)
	if inner.found {
		g.refuse(node, "loops cannot be nested")
		return
	}
	truth(&p.Node)
	if unknown(n.Arguments[0]) {
		call(&n.Arguments[0], "list()", n.Arguments[0])
	}
}

// finder looks for loops.
type finder struct{ found bool }

// Visit implements ast.Visitor.
func (f *finder) Visit(node *ast.Node) {
	if _, loops := (*node).(*ast.PredicateNode); loops {
		f.found = true
	}
}

func (g *guard) unary(node *ast.Node, n *ast.UnaryNode) {
	switch n.Operator {
	case "!", "not":
		truth(&n.Node)
	case "-", "+":
		if unknown(n.Node) {
			call(node, "arithmetic()", &ast.StringNode{Value: n.Operator}, &ast.IntegerNode{}, n.Node)
		}
	}
}

func (g *guard) binary(node *ast.Node, n *ast.BinaryNode) {
	dynamic := unknown(n.Left) || unknown(n.Right)
	operator := &ast.StringNode{Value: n.Operator}
	switch n.Operator {
	case "..":
		g.refuse(node, "ranges are not allowed; compare with >= and <=")
	case "&&", "and", "||", "or":
		truth(&n.Left)
		truth(&n.Right)
	case "matches":
		if _, constant := n.Right.(*ast.StringNode); !constant {
			g.refuse(node, "the pattern of matches must be a constant")
		} else if unknown(n.Left) {
			call(&n.Left, "text()", n.Left)
		}
	case "<", ">", "<=", ">=":
		if dynamic {
			call(node, "compare()", operator, n.Left, n.Right)
		}
	case "contains", "startsWith", "endsWith":
		if dynamic {
			call(node, "strings()", operator, n.Left, n.Right)
		}
	case "in":
		if dynamic {
			call(node, "in()", n.Left, n.Right)
		}
	case "+", "-", "*", "/", "%", "**", "^":
		if dynamic {
			call(node, "arithmetic()", operator, n.Left, n.Right)
		}
	}
}

// unknown reports whether the type of node is known only at run time.
func unknown(node ast.Node) bool {
	t := node.Type()
	return t == nil || t.Kind() == reflect.Interface
}

// truth makes node a boolean.
func truth(node *ast.Node) {
	if unknown(*node) {
		call(node, "truth()", *node)
	}
}

// call puts a call of one of our functions in the place of node. Their names cannot be
// written in an expression.
func call(node *ast.Node, function string, arguments ...ast.Node) {
	ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: function}, Arguments: arguments})
}
