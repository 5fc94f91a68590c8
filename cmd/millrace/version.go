package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// version is set by the linker (see the Makefile); without it the module's own version is shown.
var version string

// versionCmd prints what this binary is.
type versionCmd struct {
	jsonFlag
}

// Run is called by kong.
func (v *versionCmd) Run(out *streams) error {
	about := struct {
		Version  string `json:"version"`
		Revision string `json:"revision,omitempty"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		about.Version = cmp.Or(about.Version, info.Main.Version)
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				about.Revision = setting.Value
			}
		}
	}
	about.Version = cmp.Or(about.Version, "dev")
	if v.JSON {
		return out.printJSON(about)
	}
	return out.printf("millrace %s (%s, %s)", about.Version, about.Go, about.Platform)
}
