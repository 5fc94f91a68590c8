//go:build race

package js

// RaceEnabled says that the engine runs some twenty times slower, and that memory is not what it seems.
const RaceEnabled = true
