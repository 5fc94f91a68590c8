package main

import (
	"os"
	"strings"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// hint is the next step after a refusal in this program's words: the server, which does not know who asks, speaks of
// HTTP. What is not known here keeps the server's.
func (f clientFlags) hint(path string, problem *apiclient.Problem) string {
	switch problem.Code {
	case "unauthenticated":
		return f.refusedCredential()
	case "forbidden":
		return "This " + f.credential() + " does not cover it. A key with keys:manage makes another: millrace keys create NAME --scope …"
	case "not_found":
		return lookUp(path)
	case "unknown_function":
		return "See `millrace functions list`, or deploy it with: millrace deploy DIR"
	case "unknown_version":
		return "See `millrace functions versions NAME`."
	case "schedule_exists":
		return "Change it with: millrace schedules set NAME …"
	case "schedule_owned":
		return "Change the function's configuration and deploy it. `millrace schedules` pauses, resumes and runs it."
	case "no_history":
		return "Read it live with `millrace tail`, or give its namespace a history: millrace namespaces set NAME --history-size 500 --history-ttl 10m"
	case "no_presence":
		return "Turn it on for its namespace: millrace namespaces set NAME --presence"
	case "validation_failed", "invalid_request":
		if len(problem.Errors) > 0 {
			return "" // each mistake is named already
		}
	}
	return problem.Hint
}

// lookUp names the command that lists what a path was looked for in.
func lookUp(path string) string {
	for prefix, command := range map[string]string{
		"/v1/jobs/": "jobs list", "/v1/operations/": "operations list", "/v1/schedules/": "schedules list", "/v1/namespaces/": "namespaces list", "/v1/keys/": "keys list",
	} {
		if strings.HasPrefix(path, prefix) {
			return "See `millrace " + command + "`."
		}
	}
	return "Is the server of the same version as this program? See `millrace version`."
}

// credential is the kind that was shown. A token is three parts of base64, the first of which is an object.
func (f clientFlags) credential() string {
	if strings.HasPrefix(f.Key, "eyJ") && strings.Count(f.Key, ".") == 2 {
		return "token"
	}
	return "API key"
}

func (f clientFlags) refusedCredential() string {
	if f.Key == "" {
		return "No key was given. Set MILLRACE_KEY or give --key; `millrace dev` prints one when it starts."
	}
	from := "--key"
	if os.Getenv("MILLRACE_KEY") == f.Key {
		from = "MILLRACE_KEY"
	}
	if f.credential() == "token" {
		return "The token of " + from + " is not accepted: it has expired, or another server made it. Make one with `millrace token`, or give an API key."
	}
	return "The API key of " + from + " is not accepted: it is mistyped, revoked or expired, or of another server than " +
		f.URL + ". `millrace dev` prints one when it starts."
}
