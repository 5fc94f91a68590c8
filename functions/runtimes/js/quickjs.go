package js

import (
	"errors"
	"fmt"

	"modernc.org/quickjs"
)

// How QuickJS shows an exception that it had no memory to make.
const (
	noValue   = "[unsupported type]"
	nullValue = "null"
)

// engineDrain is after how many reactions the engine gives up draining although more are ready. We go on: what ends a
// function that goes on for ever is its time.
const engineDrain = 1 << 20

// quickJS is the engine modernc.org/quickjs: QuickJS translated to Go. Its memory is mapped outside the Go heap.
type quickJS struct{}

func (quickJS) compile(script string) ([]byte, error) {
	machine, err := quickjs.NewVM()
	if err != nil {
		return nil, fmt.Errorf("make a VM to compile in: %w", err)
	}
	defer func() { _ = machine.Close() }() // always nil

	code, err := machine.Compile(script, quickjs.EvalGlobal)
	if err != nil {
		return nil, asScriptError(err)
	}

	return code, nil
}

func (quickJS) newVM(memory int64, host hostFunc) (vm, error) {
	machine, err := quickjs.NewVM()
	if err != nil {
		return nil, fmt.Errorf("make a VM: %w", err)
	}

	v := &quickVM{machine: machine, functions: map[string]quickjs.Value{}}
	v.setMemory(memory)
	if err := machine.RegisterHostFunc(hostName, quickjs.HostFunc(host)); err != nil {
		_ = machine.Close() // always nil
		return nil, fmt.Errorf("register the host function: %w", err)
	}

	return v, nil
}

type quickVM struct {
	machine   *quickjs.VM
	adopted   *quickjs.Value // nil before adopt
	functions map[string]quickjs.Value
}

func (v *quickVM) load(bytecode []byte) error {
	value, err := v.machine.EvalBytecodeValue(bytecode)
	if err != nil {
		return asScriptError(err)
	}
	value.Free()

	return nil
}

func (v *quickVM) adopt(name string) error {
	global := v.machine.GlobalObject()
	defer global.Free()

	atom, err := v.machine.NewAtom(name)
	if err != nil {
		return asScriptError(err)
	}

	adopted, err := global.GetPropertyValue(atom)
	if err != nil {
		return asScriptError(err)
	}
	v.adopted = &adopted

	if err := global.SetProperty(atom, quickjs.Undefined{}); err != nil {
		return asScriptError(err)
	}

	return nil
}

func (v *quickVM) call(name string, args ...any) error {
	function, ok := v.functions[name]
	if !ok {
		atom, err := v.machine.NewAtom(name)
		if err != nil {
			return asScriptError(err)
		}

		if function, err = v.adopted.GetPropertyValue(atom); err != nil {
			return asScriptError(err)
		}
		v.functions[name] = function
	}

	result, err := function.CallValue(quickjs.UndefinedValue, args...)
	if err != nil {
		return asScriptError(err)
	}
	result.Free()

	return nil
}

func (v *quickVM) drain() error {
	for {
		ran, err := v.machine.ExecutePendingJobs()

		var thrown *quickjs.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &thrown) || ran < engineDrain:
			return asScriptError(err)
		}
	}
}

func (v *quickVM) interrupt() { v.machine.Interrupt() }

func (v *quickVM) setMemory(bytes int64) {
	v.machine.SetMemoryLimit(uintptr(bytes)) //nolint:gosec // never negative, and checked against the budget
}

func (v *quickVM) close() {
	for _, function := range v.functions {
		function.Free()
	}

	if v.adopted != nil {
		v.adopted.Free()
	}
	_ = v.machine.Close() // always nil
}

// asScriptError turns an exception into a *scriptError and leaves other errors as they are, wrapped as one too: the
// engine returns plain errors where it has no memory for what was asked.
func asScriptError(err error) error {
	var thrown *quickjs.Error
	if !errors.As(err, &thrown) {
		return &scriptError{Message: err.Error()}
	}

	e := &scriptError{
		Name: thrown.Name, Message: thrown.Message, Stack: thrown.Stack,
		Line: thrown.LineNumber, Column: thrown.ColumnNumber,
	}
	if e.Name == "" && e.Message == "" {
		e.Message = thrown.Error()
	}

	return e
}
