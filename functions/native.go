package functions

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/jobs"
)

// NativeFunc is a function written in Go: it takes and returns JSON. Handle in package native makes one of a function
// on Go types.
type NativeFunc = native.Func

type nativeFunction struct {
	function Function
	settings jobs.Settings
	program  runtimes.Program
}

// RegisterNative makes a Go function callable under a name. It must be called before Start. Instances of other programs
// submit its jobs too, and hand on those that they claim (jobs.Settings.Elsewhere). Its settings' Version is ignored: the program is the version. The function hides one of
// the same name that was deployed.
func (s *Service) RegisterNative(name string, fn NativeFunc, settings jobs.Settings) error {
	mistake := checkName(name)
	switch {
	case mistake != "":
		return fmt.Errorf("register %q: the name %s", name, mistake)
	case fn == nil:
		return fmt.Errorf("register %s: the function is nil", name)
	case s.isNative(name):
		return fmt.Errorf("register %s: it is registered already", name)
	case settings.Limits.Validate() != nil:
		return fmt.Errorf("register %s: %w", name, settings.Limits.Validate())
	case settings.Retention.Validate() != nil:
		return fmt.Errorf("register %s: %w", name, settings.Retention.Validate())
	case settings.SoftTimeout < 0 || settings.SoftTimeout >= cmp.Or(settings.Timeout, jobs.DefaultTimeout) && settings.SoftTimeout != 0:
		return fmt.Errorf("register %s: its soft timeout must be shorter than its timeout of %s", name, cmp.Or(settings.Timeout, jobs.DefaultTimeout))
	case s.Running():
		return fmt.Errorf("register %s: functions must be registered before Start", name)
	}

	settings.Version = nativeVersion
	s.native[name] = nativeFunction{
		function: Function{
			Name: name, Runtime: runtimeNative, Version: nativeVersion, UpdatedAt: s.started,
			Config: runtimes.ConfigOf(settings),
		},
		settings: settings,
		program:  fn,
	}

	return nil
}

// storeNative makes the program's functions known to millrace.enqueue, and their limits to the claims of all instances.
func (s *Service) storeNative(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(s.native))
	configs := make([]runtimes.Config, len(names))

	for i, name := range names {
		configs[i] = s.native[name].function.Config
		if err := jobs.StoreLimits(ctx, s.pool, name, s.native[name].settings.Limits); err != nil {
			return err //nolint:wrapcheck // it says what was being done
		}
	}

	if _, err := s.pool.Exec(ctx, sqlNativeStore, names, configs); err != nil {
		return fmt.Errorf("store the functions of the program: %w", err)
	}

	return nil
}

func (s *Service) isNative(name string) bool {
	_, ok := s.native[name]
	return ok
}
