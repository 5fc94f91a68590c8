package budget

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

const (
	leastBudget   = 512 << 20
	unknownBudget = 2 << 30 // where the machine does not say how much memory it has
)

// Default is half of the memory that this process may use, by its control group or the machine.
func Default() int64 {
	memory := machineMemory()
	if limit := groupMemory(); limit > 0 && (memory == 0 || limit < memory) {
		memory = limit
	}

	if memory == 0 {
		return unknownBudget
	}

	return max(memory/2, leastBudget)
}

// machineMemory reads Linux' /proc/meminfo; 0 elsewhere.
func machineMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}

	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // 0, unknown, if the kernel writes something else
			return kib << 10
		}
	}

	return 0
}

// groupMemory reads the limit of this process's control group, version 2; 0 if there is none.
func groupMemory() int64 {
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return 0
	}

	limit, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" means no limit

	return limit
}
