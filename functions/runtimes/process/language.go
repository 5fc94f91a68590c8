package process

import (
	"fmt"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-dev/millrace/jobs"
)

// searched is the PATH of children.
const searched = "/usr/local/bin:/usr/bin:/bin"

// readable are the files that every child may read: programs, libraries, and what those look up, but nothing that
// tells who is on the machine or what it does.
var readable = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
	"/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/ssl", "/etc/ca-certificates", "/etc/pki", "/etc/nsswitch.conf",
	"/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu",
}

// readableOnline are those besides that one with sockets needs.
var readableOnline = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"}

// launchOf says how a process of p is started.
func (r *Runner) launchOf(p *program, root string, c *child) (*launch, error) {
	shut := r.config.Sandbox != SandboxOff
	required := r.config.Sandbox == SandboxRequire || p.config.Sandbox == SandboxRequire
	if required && (!shut || !r.contain.complete()) {
		why := "its operator has turned the sandbox off"
		if shut {
			why = "it lacks " + r.contain.missing()
		}

		return nil, failf(CodeSandbox, "this instance cannot shut processes in as sandbox: \"require\" wants: %s", why)
	}

	l := &launch{
		Dir: c.temporary(), Shut: shut, Network: p.config.Network, Env: r.environment(c),
		Read: append(slices.Clone(readable), root, r.dir+"/host.py", r.dir+"/host.mjs"), Write: []string{c.temporary(), c.marker()},
	}
	if p.bundle.Language == Node && r.config.Folder != "" {
		l.Read = append(l.Read, filepath.Join(r.config.Folder, "node_modules"))
	}

	if p.config.Network {
		l.Read = append(l.Read, readableOnline...)
	}

	if err := r.arguments(l, p, root); err != nil {
		return nil, err
	}

	return l, nil
}

// environment is all that a child finds in its environment.
func (r *Runner) environment(c *child) []string {
	variables := map[string]string{
		"PATH": searched, "HOME": c.temporary(), "TMPDIR": c.temporary(), "LANG": "C.UTF-8",
		// A process has one core's work to do: a numerical library that starts a thread for each core only takes memory.
		"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
		"MALLOC_ARENA_MAX": "2", "UV_THREADPOOL_SIZE": "4",
	}
	maps.Copy(variables, r.config.Env)

	list := make([]string, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, name+"="+variables[name])
	}

	return list
}

// arguments says which program a process becomes, and what that reads.
func (r *Runner) arguments(l *launch, p *program, root string) error {
	switch p.bundle.Language {
	case Python:
		i, err := r.finder.python(r.ctx, p.config.Python)
		if err != nil {
			return missing(err)
		}
		l.Args = []string{i.Executable, "-I", "-B", "-X", "utf8", filepath.Join(r.dir, "host.py")}
		l.Read = append(l.Read, i.Folders...)
	case Node:
		i, err := r.finder.node(r.ctx)
		if err != nil {
			return missing(err)
		}
		heap := strconv.FormatInt(p.memory>>20, 10)
		l.Args = []string{
			i.Executable, "--max-old-space-size=" + heap, filepath.Join(r.dir, "host.mjs"), strconv.Itoa(wireIn), strconv.Itoa(wireOut),
		}
		l.Move = true
		l.Read = append(l.Read, i.Folders...)
	case Command:
		return l.own(p, root)
	default:
		return fmt.Errorf("there is no language %q", p.bundle.Language)
	}

	return nil
}

// own starts the function's own command: a file of the function, or a program of the instance.
func (l *launch) own(p *program, root string) error {
	l.Args = slices.Clone(p.bundle.Command)
	folder := path.Dir(p.entry)
	for i, arg := range l.Args {
		if strings.HasPrefix(arg, "./") {
			l.Args[i] = filepath.Join(root, filepath.FromSlash(path.Join(folder, arg)))
		}
	}

	if filepath.IsAbs(l.Args[0]) {
		l.Read = append(l.Read, l.Args[0])
		return nil
	}

	for _, folder := range filepath.SplitList(searched) {
		if found, err := exec.LookPath(filepath.Join(folder, l.Args[0])); err == nil {
			l.Args[0] = found
			return nil
		}
	}

	return missing(fmt.Errorf("this instance has no %s in %s", l.Args[0], searched))
}

// missing is what a call fails with whose instance lacks a program: another one may have it.
func missing(err error) error { return failf(jobs.CodeRuntime, "%v", err) }
