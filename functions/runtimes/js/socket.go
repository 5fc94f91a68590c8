package js

import (
	"encoding/base64"
	"errors"
	"math"
	"regexp"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// socketExport finds where a file says what connections it takes.
var socketExport = regexp.MustCompile(`(?m)^[ \t]*export[ \t]+(?:const|let|var)[ \t]+socket\b`)

// checkSocket reads what a file exports as a consumer.
func checkSocket(source runtimes.Source, found exports) (*runtimes.Socket, []runtimes.Diagnostic) {
	var handlers []runtimes.Handler
	for name := range strings.FieldsSeq(found.handlers) {
		handlers = append(handlers, runtimes.Handler(name))
	}

	socket, mistakes := runtimes.ParseSocket([]byte(found.socket), handlers)
	line, column := exportPosition(source, socketExport)
	var list []runtimes.Diagnostic
	for _, mistake := range mistakes {
		list = append(list, runtimes.Diagnostic{
			Function: source.Name, File: source.Entry, Line: line, Column: column, Message: mistake,
		})
	}

	if socket != nil {
		socket.Only = found.function != "function"
	}

	return socket, list
}

var errNoSocket = errors.New("there is no connection: only the handlers of a consumer have one")

// socket sends, or closes, for a consumer's handler. It is answered at once, so that frames keep their order.
func (c *call) socket(kind string, args []any) error {
	connection, ok := c.host.(runtimes.SocketHost)
	if !ok {
		return errNoSocket
	}

	if kind == "close" {
		code, isNumber := number(args, 1)
		reason, isText := argument[string](args, 2)
		if !isNumber || !isText {
			return errArguments
		}

		if code != math.Trunc(code) || math.Abs(code) > 1<<16 {
			code = 0 // which is none
		}

		return connection.Close(int(code), reason)
	}

	binary, isBool := argument[bool](args, 1)
	text, isText := argument[string](args, 2)
	if !isBool || !isText {
		return errArguments
	}
	data := []byte(text)

	if binary {
		var err error
		if data, err = base64.StdEncoding.DecodeString(text); err != nil {
			return errArguments
		}
	}

	return connection.Send(binary, data)
}
