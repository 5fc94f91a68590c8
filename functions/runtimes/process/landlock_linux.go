package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What landlock can refuse, by its version: see landlock(7).
const (
	landlockV1   = 1<<13 - 1
	landlockRead = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// landlockFile is what makes sense of a file that is no folder.
	landlockFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// landlockVersion is the version of landlock that the kernel has, 0 if none.
func landlockVersion() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}

	return int(version)
}

// landlockHandles is what a ruleset refuses unless it is allowed, and the size of the structure that says so.
func landlockHandles(version int, network bool) (unix.LandlockRulesetAttr, uintptr) {
	attr, size := unix.LandlockRulesetAttr{Handled_access_fs: landlockV1}, uintptr(8)
	if version >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}

	if version >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}

	if version >= 4 {
		size = 16
		if !network {
			attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
	}

	if version >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}

	if version >= 6 {
		size = 24
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}

	return attr, size
}

// landlock leaves the process the files that l names, and devices without harm.
func (l *launch) landlock() error {
	version := landlockVersion()
	if version == 0 {
		return nil
	}

	attr, size := landlockHandles(version, l.Network)
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0) //nolint:gosec // the kernel reads it during the call
	if errno != 0 {
		return fmt.Errorf("make landlock's rules: %w", errno)
	}

	for _, rule := range []struct {
		paths  []string
		access uint64
	}{
		{l.Read, landlockRead},
		{l.Write, attr.Handled_access_fs},
		{[]string{"/dev/null", "/dev/zero"}, unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE},
		{[]string{"/dev/urandom", "/dev/random"}, unix.LANDLOCK_ACCESS_FS_READ_FILE},
	} {
		for _, path := range rule.paths {
			if err := allow(int(ruleset), path, rule.access&attr.Handled_access_fs); err != nil {
				return fmt.Errorf("let the process use %s: %w", path, err)
			}
		}
	}

	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("restrict by landlock: %w", errno)
	}

	return unix.Close(int(ruleset))
}

// allow adds a rule. A path that is not there needs none.
func allow(ruleset int, path string, access uint64) error {
	file, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}

	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(file) }()

	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		access &= landlockFile
	}

	attr := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(file)}                                                                 //nolint:gosec // descriptors are small
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0) //nolint:gosec // as above
	if errno != 0 {
		return errno
	}

	return nil
}
