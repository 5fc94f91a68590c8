package process

import (
	"fmt"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

// containment is what this machine can shut a child in with.
type containment struct {
	landlock int // version; 0 means that files are those of millrace's own user
	seccomp  bool
	tree     spawn.Containment
	known    bool
}

// complete reports whether nothing is missing of what a sandbox is.
func (c containment) complete() bool { return c.landlock > 0 && c.seccomp }

// String is what people see of it.
func (c containment) String() string {
	parts := []string{}
	if c.landlock > 0 {
		parts = append(parts, fmt.Sprintf("landlock %d", c.landlock))
	}

	if c.seccomp {
		parts = append(parts, "seccomp")
	}

	return strings.Join(append(parts, c.tree.String()), ", ")
}

// missing is what a sandbox lacks.
func (c containment) missing() string {
	var parts []string
	if c.landlock == 0 {
		parts = append(parts, "landlock (Linux 5.13 or newer, with landlock in its lsm= list)")
	}

	if !c.seccomp {
		parts = append(parts, "seccomp filters (Linux on amd64 or arm64)")
	}

	return strings.Join(parts, " and ")
}
