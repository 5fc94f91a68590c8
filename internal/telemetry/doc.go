// Package telemetry is millrace's use of OpenTelemetry: spans from a request over the submission to the run of a job, in
// one trace.
//
// # Promises
//
//   - Off is the default, and costs nothing: a nil *Tracer starts no span and allocates nothing. The standard variables
//     of the environment switch it on (FromEnv), and nothing else.
//   - A trace goes on across the queue by a W3C traceparent, which the job's row keeps. It is kept and handed on although
//     no spans are made here, so that two programs that trace find each other through one that does not.
//   - Names and attributes follow OpenTelemetry's conventions for HTTP and for messaging (1.4x): "submit orders.charge"
//     is a producer's span, "run orders.charge" a consumer's, whose parent is the former and which links to it too.
//     None of them hold inputs, outputs, queries or headers.
//
// OpenTelemetry enters here and nowhere else. The package imports nothing of millrace.
package telemetry
