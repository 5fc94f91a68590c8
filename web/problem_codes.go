package web

import "net/http"

// Code is the stable word of a problem. Codes are part of the API: clients branch on them.
type Code string

// Every code there is.
const (
	CodeInvalidRequest      Code = "invalid_request"
	CodeInvalidJSON         Code = "invalid_json"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeCrossSite           Code = "cross_site"
	CodeNotFound            Code = "not_found"
	CodeUnknownFunction     Code = "unknown_function"
	CodeUnknownVersion      Code = "unknown_version"
	CodeNoHistory           Code = "no_history"
	CodeNoPresence          Code = "no_presence"
	CodeNamespaceBuiltIn    Code = "namespace_built_in"
	CodeNamespaceLimit      Code = "namespace_limit"
	CodeMethodNotAllowed    Code = "method_not_allowed"
	CodeRequestTimeout      Code = "request_timeout"
	CodeJobState            Code = "job_state"
	CodeNativeFunction      Code = "native_function"
	CodeScheduleExists      Code = "schedule_exists"
	CodeScheduleOwned       Code = "schedule_owned"
	CodeChannelReadOnly     Code = "channel_read_only"
	CodeUnrecoverable       Code = "unrecoverable"
	CodeBodyTooLarge        Code = "body_too_large"
	CodeMessageTooLarge     Code = "message_too_large"
	CodeUnsupportedEncoding Code = "unsupported_encoding"
	CodeUnsupportedMedia    Code = "unsupported_media_type"
	CodeValidationFailed    Code = "validation_failed"
	CodeBuildFailed         Code = "build_failed"
	CodeIdempotencyMismatch Code = "idempotency_mismatch"
	CodeKeyInUse            Code = "key_in_use"
	CodeBatchRefused        Code = "batch_refused"
	CodeThrottled           Code = "throttled"
	CodeUpgradeRequired     Code = "upgrade_required"
	CodeHeadersTooLarge     Code = "headers_too_large"
	CodeInternal            Code = "internal"
	CodeBusy                Code = "busy"
	CodeUnavailable         Code = "unavailable"
	CodeNotReady            Code = "not_ready"
	CodeOutcomeUnknown      Code = "outcome_unknown"
	CodeDeadline            Code = "deadline"
)

// definition is what all problems of one code have in common.
type definition struct {
	status      int
	title, hint string
}

//nolint:gochecknoglobals // a constant, which Go cannot say of a map
var definitions = map[Code]definition{
	CodeInvalidRequest: {http.StatusBadRequest, "The request cannot be read", ""},
	CodeInvalidJSON:    {http.StatusBadRequest, "The body is not acceptable JSON", "Send one JSON value in UTF-8."},
	CodeUnauthenticated: {
		http.StatusUnauthorized, "No valid credential",
		"Send a valid key as 'Authorization: Bearer KEY'; 'millrace keys create' makes one.",
	},
	CodeForbidden: {
		http.StatusForbidden, "The credential does not grant this",
		"Use a key with the scope that the detail names.",
	},
	CodeCrossSite: {
		http.StatusForbidden, "The request comes from another site",
		"The page's cookie works from the page's own address only. Programs use a key.",
	},
	CodeNotFound: {http.StatusNotFound, "There is nothing here", ""},
	CodeUnknownFunction: {
		http.StatusNotFound, "There is no such function",
		"Look at GET /v1/functions, or deploy it with 'millrace deploy DIR'.",
	},
	CodeUnknownVersion: {
		http.StatusNotFound, "The function has no such version",
		"Look at GET /v1/functions/{name}/versions.",
	},
	CodeNoHistory: {
		http.StatusNotFound, "The channel keeps no history",
		"Subscribe to it instead, or give its namespace a history.",
	},
	CodeNoPresence: {
		http.StatusNotFound, "Nobody keeps who is subscribed to this channel",
		"Give its namespace \"presence\": true.",
	},
	CodeNamespaceBuiltIn: {
		http.StatusConflict, "The namespace is part of the program",
		"It is set by the program's configuration: change that, or use another name.",
	},
	CodeNamespaceLimit: {
		http.StatusConflict, "There are too many namespaces",
		"Delete one, or let channels share one: a namespace is a set of rules, not a tenant.",
	},
	CodeMethodNotAllowed: {
		http.StatusMethodNotAllowed, "The path does not know this method",
		"The Allow header lists those it knows.",
	},
	CodeRequestTimeout: {http.StatusRequestTimeout, "The request did not arrive in time", "Send it without pauses."},
	CodeJobState: {
		http.StatusConflict, "The job's state does not allow this",
		"Unfinished jobs can be cancelled; failed, cancelled and waiting ones retried.",
	},
	CodeNativeFunction: {
		http.StatusConflict, "The function is part of the program",
		"It changes with the program: it cannot be deployed, removed or rolled back.",
	},
	CodeScheduleExists: {
		http.StatusConflict, "There is a schedule of this name",
		"PUT /v1/schedules/{name} changes it.",
	},
	CodeScheduleOwned: {
		http.StatusConflict, "The schedule belongs to a function",
		"Change the function's configuration and deploy it. It can be paused, resumed and run here.",
	},
	CodeChannelReadOnly: {
		http.StatusConflict, "Nobody publishes to this channel",
		"Its messages come from millrace itself.",
	},
	CodeUnrecoverable: {
		http.StatusGone, "The history does not reach back that far",
		"Load the present state and go on from the newest position.",
	},
	CodeBodyTooLarge: {
		http.StatusRequestEntityTooLarge, "The body is too large",
		"Put large data elsewhere and send its address.",
	},
	CodeMessageTooLarge: {
		http.StatusRequestEntityTooLarge, "The message is too large",
		"Publish the address of the data instead of the data.",
	},
	CodeUnsupportedEncoding: {
		http.StatusUnsupportedMediaType, "Compressed bodies are not accepted",
		"Send the body without Content-Encoding.",
	},
	CodeUnsupportedMedia: {http.StatusUnsupportedMediaType, "The media type is not accepted", "Send application/json."},
	CodeValidationFailed: {
		http.StatusUnprocessableEntity, "The request asks for something that is not possible",
		"Each entry of 'errors' names a field.",
	},
	CodeBuildFailed: {
		http.StatusUnprocessableEntity, "The functions do not build",
		"Each entry of 'diagnostics' names a place. Nothing was deployed.",
	},
	CodeIdempotencyMismatch: {
		http.StatusUnprocessableEntity, "The idempotency key belongs to another request",
		"Use a new Idempotency-Key for each new request, and the same one only to repeat it unchanged.",
	},
	CodeBatchRefused: {
		http.StatusUnprocessableEntity, "Nothing of the batch was submitted",
		"Each entry of 'items' says what is wrong with one, counted from 0; at most 100 are named.",
	},
	CodeKeyInUse: {
		http.StatusConflict, "A request with the same key is under way",
		"Send it again in a moment: then it has the answer of the first one.",
	},
	CodeThrottled: {
		http.StatusTooManyRequests, "The function's throttle has no room",
		"Nothing was submitted. Send it again later.",
	},
	CodeUpgradeRequired: {
		http.StatusUpgradeRequired, "This is a WebSocket",
		"Send a WebSocket handshake (version 13), or use GET /v1/stream.",
	},
	CodeHeadersTooLarge: {http.StatusRequestHeaderFieldsTooLarge, "The headers are too large", "Send at most 8 KiB of them."},
	CodeInternal: {
		http.StatusInternalServerError, "Something went wrong in here",
		"Give the request id to whoever runs this server.",
	},
	CodeBusy:        {http.StatusServiceUnavailable, "Too much at once", "Try again a little later."},
	CodeUnavailable: {http.StatusServiceUnavailable, "The database does not answer", "Try again a little later."},
	CodeNotReady: {
		http.StatusServiceUnavailable, "Not ready to work",
		"Each entry of 'errors' names a part that is not.",
	},
	CodeOutcomeUnknown: {
		http.StatusGatewayTimeout, "It is not known whether this happened",
		"Repeat it with the same Idempotency-Key: then it happens once.",
	},
	CodeDeadline: {
		http.StatusGatewayTimeout, "It took too long",
		"Repeat it; with an Idempotency-Key nothing happens twice.",
	},
}
