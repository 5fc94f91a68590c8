//go:build race

package js_test

// raceEnabled says that the engine runs some twenty times slower, and that memory is not what it seems.
const raceEnabled = true
