package postgres

import "syscall"

const capDACOverride = 1 // CAP_DAC_OVERRIDE of linux/capability.h

// sysProcAttr describes a process of the cluster: a process group of its own,
// so that Ctrl-C reaches millrace alone and Postgres ends after it, not beside
// it; the account; and for a server the signal that it gets when millrace dies
// without stopping it (SIGINT is Postgres' fast shutdown).
func sysProcAttr(a account, bypassFolders, server bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.other {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
		if bypassFolders {
			attr.AmbientCaps = []uintptr{capDACOverride}
		}
	}
	if server {
		attr.Pdeathsig = syscall.SIGINT
	}
	return attr
}
