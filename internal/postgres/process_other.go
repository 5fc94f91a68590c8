//go:build !linux

package postgres

import "syscall"

// sysProcAttr describes a process of the cluster; see the Linux version. Other
// systems have neither a parent-death signal nor ambient capabilities: a
// server that outlives a killed millrace is stopped by the next start.
func sysProcAttr(a account, _, _ bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.other {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}
