package jobs

// Keys of river_job.metadata that millrace uses. Names are short: they stand in every row. One more, lane, is written
// and read by Postgres alone: the keys that a job's limits are counted by (migrations/0009_limits).
const (
	metaOutput    = "output"              // the result, River's own convention
	metaVersion   = "v"                   // version of the function that ran last
	metaRun       = "run"                 // what the submission says of the attempts (runOptions)
	metaProgress  = "progress"            // the last Progress that was reported
	metaRerunOf   = "rerun_of"            // the job that this one repeats
	metaHandedOn  = "snoozes"             // how often it came to a node without its function; River's own key
	metaParent    = "parent"              // whose call it is: job and position
	metaCancelled = "cancel_attempted_at" // somebody asked for the running job's end; River's own key
)
