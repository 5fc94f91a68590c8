package process

import "path/filepath"

// InGroup makes a runner do without PID namespaces.
func InGroup(c Config) Config {
	c.contain = contained()
	c.contain.tree = 0

	return c
}

// Unshut makes a runner take the kernel for one without landlock and seccomp.
func Unshut(c Config) Config {
	c.Sandbox = or(c.Sandbox, SandboxOff)
	c.contain = containment{known: true}

	return c
}

// Children is how many processes a runner has.
func Children(r *Runner) int { return len(r.children()) }

// Wrote is how many of a runner's processes have made a file of that name in their folder.
func Wrote(r *Runner, name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, _ := filepath.Glob(filepath.Join(or(r.dir, "none"), "child-*", "tmp", name))

	return len(found)
}
