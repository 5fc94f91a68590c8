package auth

import "strings"

// jobsChannel summarises all jobs; a channel "job:<id>" shows one. Both are other views of what GET /v1/jobs
// shows, so jobs:read decides about them, and a pattern such as channels:subscribe:* does not reach them.
const (
	jobsChannel      = "jobs"
	jobChannelPrefix = "job:"
)

// MaySubscribe reports whether a channel may be subscribed to and its history read. readable tells whether the
// job with this id is one that the identity may read; it is asked only when that depends on the job.
func (id Identity) MaySubscribe(channel string, readable func(jobID string) bool) bool {
	if !ofJobs(channel) {
		return id.Allows(ScopeChannelsSubscribe, channel)
	}
	if id.AllowsAll(ScopeJobsRead) {
		return true
	}
	if id.Kind == KindToken {
		// Whoever made the token could read these jobs, and named them.
		for _, pattern := range id.Patterns(ScopeChannelsSubscribe) {
			if ofJobs(string(pattern)) && pattern.Match(channel) {
				return true
			}
		}
		return false
	}
	job, one := strings.CutPrefix(channel, jobChannelPrefix)
	return one && id.AllowsAny(ScopeJobsRead) && readable(job)
}

// MaySeePresence reports whether the identity may see who is subscribed to a channel; readable is as for
// MaySubscribe.
func (id Identity) MaySeePresence(channel string, readable func(jobID string) bool) bool {
	return id.Allows(ScopeChannelsPresence, channel) && (!ofJobs(channel) || id.MaySubscribe(channel, readable))
}

// ofJobs takes a channel or a pattern.
func ofJobs(channel string) bool {
	return channel == jobsChannel || strings.HasPrefix(channel, jobChannelPrefix)
}

// mayPassOn reports whether a token may be given this pattern of channels to subscribe to.
func (id Identity) mayPassOn(pattern Pattern, readable func(jobID string) bool) bool {
	if ofJobs(string(pattern)) {
		if strings.HasSuffix(string(pattern), "*") {
			return id.AllowsAll(ScopeJobsRead)
		}
		return id.MaySubscribe(string(pattern), readable)
	}
	return id.Covers(Scope{Name: ScopeChannelsSubscribe, Pattern: pattern})
}
