package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that the cluster's processes run as. The zero value is
// the user of this process.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not the user of this process
}

// pickAccount returns the user of this process, or an unprivileged one when
// that is root.
func pickAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
	}
	return account{}, errors.New("no user to run Postgres as: it refuses root, and there is neither a user postgres nor a user nobody")
}

// own makes a the owner of path.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, a.name, err)
	}
	return nil
}

// reaches reports whether the account may pass through every folder above path.
func (a account) reaches(path string) (bool, error) {
	if !a.other {
		return true, nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false, fmt.Errorf("look at %s: %w", dir, err)
		}
		if !a.mayEnter(info) {
			return false, nil
		}
		if dir == filepath.Dir(dir) {
			return true, nil
		}
	}
}

func (a account) mayEnter(info fs.FileInfo) bool {
	const owner, group, others = 0o100, 0o010, 0o001
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case st.Uid == a.uid:
		return info.Mode().Perm()&owner != 0
	case st.Gid == a.gid:
		return info.Mode().Perm()&group != 0
	default:
		return info.Mode().Perm()&others != 0
	}
}
