package postgres

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrDataDirInUse is wrapped by StartCluster's error when another millrace
// runs on the same data directory.
var ErrDataDirInUse = errors.New("the data directory is in use")

// dirLock keeps a data directory to one process. The kernel lets go of it when
// the process ends, however it ends.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the folder that was asked for
	if err != nil {
		return nil, fmt.Errorf("open the lock of %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(f)
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s, by the millrace with pid %s: stop that one, or choose another --data-dir",
			ErrDataDirInUse, dir, strings.TrimSpace(string(holder)))
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write the lock of %s: %w", dir, err)
	}
	return &dirLock{file: f}, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err //nolint:wrapcheck // the caller says what was being done
}

func (l *dirLock) unlock() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("let go of the data directory: %w", err)
	}
	return nil
}
