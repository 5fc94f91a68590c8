package process

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
