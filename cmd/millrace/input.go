package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// readArgument resolves an argument that is the text itself, @file, or - for stdin.
func readArgument(argument string, stdin io.Reader) ([]byte, error) {
	switch {
	case argument == "-":
		text, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read stdin: %w", err)
		}
		return text, nil
	case strings.HasPrefix(argument, "@"):
		text, err := os.ReadFile(argument[1:])
		if err != nil {
			return nil, usagef("read the file after @: %v", err)
		}
		return text, nil
	default:
		return []byte(argument), nil
	}
}

// readJSON is readArgument for JSON, checked here so that the mistake is shown where it was made.
func readJSON(argument string, stdin io.Reader) (json.RawMessage, error) {
	if argument == "" {
		return json.RawMessage("null"), nil
	}
	text, err := readArgument(argument, stdin)
	if err != nil {
		return nil, err
	}
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, usagef("the input is not JSON: %v (at byte %d). Quote it for the shell: '{\"a\": 1}', or \"text\" as '\"text\"'", err, syntax.Offset)
		}
		return nil, usagef("the input is not JSON: %v", err)
	}
	return value, nil
}
