package filter

import (
	"reflect"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// The bounds of what takes time in proportion to the registration.
const (
	maxLoops   = 4    // times that an expression may go through a list or print a value
	maxLength  = 4096 // elements of such a list, bytes of a string matched with a pattern
	maxPattern = 1000 // instructions that a pattern compiles to
)

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
		g.builtin(node, n)
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

func (g *guard) builtin(node *ast.Node, n *ast.BuiltinNode) {
	var body *ast.PredicateNode
	if len(n.Arguments) == 2 {
		body, _ = n.Arguments[1].(*ast.PredicateNode)
	}
	if body == nil && n.Name != "string" && n.Name != "keys" && n.Name != "values" {
		return
	}
	if g.loops++; g.loops > maxLoops {
		g.refuse(node, "goes through lists or prints values too often")
	} else if body != nil {
		g.loop(node, n, body)
	}
}

func (g *guard) loop(node *ast.Node, n *ast.BuiltinNode, p *ast.PredicateNode) {
	inner := &finder{}
	ast.Walk(&p.Node, inner)
	if inner.found {
		g.refuse(node, "loops cannot be nested")
		return
	}
	truth(&p.Node)
	if _, written := n.Arguments[0].(*ast.ArrayNode); !written && (unknown(n.Arguments[0]) || slice(n.Arguments[0])) {
		call(&n.Arguments[0], "list()", n.Arguments[0])
	}
}

func slice(node ast.Node) bool { return node.Type().Kind() == reflect.Slice }

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
		g.pattern(node, n)
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

func (g *guard) pattern(node *ast.Node, n *ast.BinaryNode) {
	pattern, constant := n.Right.(*ast.StringNode)
	if !constant {
		g.refuse(node, "the pattern of matches must be a constant")
		return
	}
	parsed, err := syntax.Parse(pattern.Value, syntax.Perl)
	if err != nil {
		g.refuse(node, err.Error())
		return
	}
	if p, err := syntax.Compile(parsed.Simplify()); err != nil || len(p.Inst) > maxPattern {
		g.refuse(node, "the pattern is too large")
		return
	}
	if unknown(n.Left) {
		call(&n.Left, "text()", n.Left)
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
