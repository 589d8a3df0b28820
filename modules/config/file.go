package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// fromFile returns the values in the settings file by key, without those that are wrong,
// and everything that is wrong.
func (s Sources) fromFile(origins map[string]string) (map[string]any, error) {
	values := make(map[string]any)
	if s.File == "" {
		return values, nil
	}
	text, err := readFile(s.File)
	if err != nil {
		return values, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return values, fmt.Errorf("%s: %w", s.File, err)
	}
	if len(document.Content) == 0 {
		return values, nil // empty, or nothing but comments
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return values, fmt.Errorf("%s:%d: want settings as \"key: value\" lines", s.File, root.Line)
	}
	var problems []error
	lines := make(map[string]int)
	for pair := range slices.Chunk(root.Content, 2) {
		key, value := pair[0].Value, pair[1]
		where := fmt.Sprintf("%s:%d: %s", s.File, pair[0].Line, key)
		wrong := func(text string) {
			problems = append(problems, &ProblemError{Where: where, Key: key, Text: text})
		}
		if first, twice := lines[key]; twice {
			wrong(fmt.Sprintf("is given twice, first on line %d", first))
			continue
		}
		lines[key] = pair[0].Line
		f, known := s.flagOfKey(key)
		switch {
		case !known:
			wrong("there is no such setting" + s.suggestion(key))
		case f != nil:
			parsed, err := parseNode(f, value)
			if err != nil {
				wrong(err.Error())
				continue
			}
			values[key], origins[key] = parsed, where
		}
	}
	return values, errors.Join(problems...)
}

// parseNode returns the value of node as f would have it.
func parseNode(f *pflag.Flag, node *yaml.Node) (any, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil, errors.New("has no value")
	case node.Kind == yaml.ScalarNode:
		return parse(f, node.Value)
	case node.Kind == yaml.SequenceNode && isList(f):
		var texts []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("want a list of plain values")
			}
			texts = append(texts, item.Value)
		}
		return parse(f, texts...)
	case isList(f):
		return nil, errors.New("want a list of plain values")
	}
	return nil, errors.New("want one plain value")
}
