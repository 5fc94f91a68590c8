package process

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// audit is the kernel's number of this machine's kind, by GOARCH; see linux/audit.h.
var audit = map[string]uint32{"amd64": 0xc000003e, "arm64": 0xc00000b7}[runtime.GOARCH]

// refused are system calls that a function has no use for, but an attack on the kernel or on other processes has.
var refused = []uint32{
	unix.SYS_PTRACE, unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT,
	unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_ADD_KEY,
	unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE,
	unix.SYS_IO_URING_SETUP, // it opens sockets that no filter sees
}

// Positions in the kernel's struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16 // the lower half, on machines of either kind in audit

	namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
)

func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no}
}

func refuse(errno unix.Errno) unix.SockFilter {
	return statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(errno)) //nolint:gosec // small
}

// rules is the program that decides about each system call.
func rules(network bool) []unix.SockFilter {
	const (
		read  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		some  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		end   = unix.BPF_RET | unix.BPF_K

		x32 = 0x40000000 // numbers from here on are another table of amd64's
	)

	list := []unix.SockFilter{
		statement(read, dataArch), jump(equal, audit, 1, 0), statement(end, unix.SECCOMP_RET_KILL_PROCESS),
		statement(read, dataNumber), jump(least, x32, 0, 1), statement(end, unix.SECCOMP_RET_KILL_PROCESS),
		jump(equal, unix.SYS_CLONE3, 0, 1), refuse(unix.ENOSYS), // its flags cannot be seen; the C library falls back to clone
	}
	for _, number := range refused {
		list = append(list, jump(equal, number, 0, 1), refuse(unix.EPERM))
	}

	if !network {
		list = append(list, jump(equal, unix.SYS_SOCKET, 0, 1), refuse(unix.EACCES))
	}

	return append(list,
		jump(equal, unix.SYS_CLONE, 0, 3), statement(read, dataArg0), jump(some, namespaces, 0, 1), refuse(unix.EPERM),
		statement(end, unix.SECCOMP_RET_ALLOW))
}

// filtersCalls reports whether the kernel filters system calls, and this package knows the machine's.
func filtersCalls() bool {
	if audit == 0 {
		return false
	}
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))) //nolint:gosec // the kernel reads it during the call

	return errno == 0
}

// filterCalls refuses system calls to this thread and all that descends from it.
func filterCalls(network bool) error {
	if !filtersCalls() {
		return nil
	}

	filter := rules(network)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}                                           //nolint:gosec // some fifty
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))) //nolint:gosec // the kernel reads it during the call
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}

	return nil
}
