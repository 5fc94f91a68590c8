package jobs

import (
	"bytes"
	"encoding/json"
)

// fewNames is how many names of an object are compared with one another; beyond, they are kept in a map.
const fewNames = 16

// jsonNames are the names in the objects that a scan is inside of, by depth.
type jsonNames struct {
	few  [maxDepth + 1][][]byte
	many [maxDepth + 1]map[string]struct{}
}

// open begins an object.
func (n *jsonNames) open(depth int) {
	n.few[depth], n.many[depth] = n.few[depth][:0], nil
}

// add reports whether the name, a whole JSON string, is new to the object.
func (n *jsonNames) add(depth int, name []byte) bool {
	if bytes.IndexByte(name, '\\') >= 0 { // the same name can be written in many ways
		var text string
		if json.Unmarshal(name, &text) == nil {
			name = append(append([]byte{'"'}, text...), '"')
		}
	}

	if many := n.many[depth]; many != nil {
		had := len(many)
		many[string(name)] = struct{}{}

		return len(many) > had
	}

	few := n.few[depth]
	for _, earlier := range few {
		if bytes.Equal(earlier, name) {
			return false
		}
	}

	n.few[depth] = append(few, name)

	if len(few) == fewNames {
		n.many[depth] = make(map[string]struct{}, 4*fewNames)
		for _, earlier := range n.few[depth] {
			n.many[depth][string(earlier)] = struct{}{}
		}
	}

	return true
}
