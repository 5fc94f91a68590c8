// Package budget shares a node's memory out among the functions that run on it, so that none can keep the others out.
//
// # Invariants of an Admission
//
//   - What is admitted never exceeds the budget.
//   - A function that holds nothing finds a quarter of the budget reserved for those like it.
//
// # Imports
//
// The standard library.
package budget
