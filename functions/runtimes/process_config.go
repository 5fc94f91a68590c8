package runtimes

import (
	"encoding/json"
	"slices"
	"strings"
)

// Bounds of what a function may ask of its processes.
const (
	MaxProcesses = 256
	MaxThreads   = 1_000
	MaxCalls     = 10_000
)

// What ProcessConfig.Mode may be.
const (
	ModeProcess = "process" // a call has its process for itself
	ModeThreads = "threads" // the calls of a process each have a thread
	ModeAsync   = "async"   // the calls of a process share its event loop
)

// ProcessConfig is what a function that runs in child processes asks for besides. Zero fields mean the defaults.
type ProcessConfig struct {
	Mode      string `json:"mode,omitempty"`      // as deployed, never empty there
	Processes int    `json:"processes,omitempty"` // at most, on one instance
	Threads   int    `json:"threads,omitempty"`   // of one process, in ModeThreads
	Calls     int    `json:"calls,omitempty"`     // at once in one process, in ModeAsync
	Network   bool   `json:"network,omitempty"`   // whether it may open sockets
	Sandbox   string `json:"sandbox,omitempty"`   // require, or empty
	Python    string `json:"python,omitempty"`    // the interpreter
}

// ParseProcessConfig reads the configuration of a function that runs in child processes: what ParseConfig takes, and
//
//	mode       process (a call has its process for itself), threads or async
//	processes  how many processes it may have on one instance, 1 to 256
//	threads    of one process, 1 to 1,000
//	calls      at once on the event loop of one process, 1 to 10,000
//	network    true lets it open sockets
//	sandbox    require: it fails on an instance that cannot shut it in
//	python     the interpreter: a path, or a name such as python3.12
func ParseProcessConfig(raw []byte, maxMemory int64) (Config, []string) {
	return parseConfig(raw, maxMemory, processOptions)
}

var processOptions = map[string]func(p *parser, raw json.RawMessage){
	"mode": func(p *parser, raw json.RawMessage) {
		p.config.Process.Mode = p.choice("config.mode", raw, ModeProcess, ModeThreads, ModeAsync)
	},
	"processes": func(p *parser, raw json.RawMessage) {
		p.config.Process.Processes = p.integer("config.processes", raw, 1, MaxProcesses)
	},
	"threads": func(p *parser, raw json.RawMessage) {
		p.config.Process.Threads = p.integer("config.threads", raw, 1, MaxThreads)
	},
	"calls": func(p *parser, raw json.RawMessage) {
		p.config.Process.Calls = p.integer("config.calls", raw, 1, MaxCalls)
	},
	"network": func(p *parser, raw json.RawMessage) {
		if err := json.Unmarshal(raw, &p.config.Process.Network); err != nil {
			p.mistakef("config.network must be true or false, not %s", shortened(raw))
		}
	},
	"sandbox": func(p *parser, raw json.RawMessage) {
		p.config.Process.Sandbox = p.choice("config.sandbox", raw, "require")
	},
	"python": func(p *parser, raw json.RawMessage) { p.config.Process.Python = p.text("config.python", raw) },
}

func (p *parser) choice(what string, raw json.RawMessage, choices ...string) string {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || !slices.Contains(choices, text) {
		p.mistakef("%s must be %s, not %s", what, strings.Join(choices, " or "), shortened(raw))
		return ""
	}

	return text
}
