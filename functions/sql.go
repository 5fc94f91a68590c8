package functions

import _ "embed"

var (
	//go:embed sql/deploy_lock.sql
	sqlDeployLock string
	//go:embed sql/deploy_live.sql
	sqlDeployLive string
	//go:embed sql/deploy_notify.sql
	sqlDeployNotify string
	//go:embed sql/blob_insert.sql
	sqlBlobInsert string
	//go:embed sql/function_insert.sql
	sqlFunctionInsert string
	//go:embed sql/version_insert.sql
	sqlVersionInsert string
	//go:embed sql/version_digest.sql
	sqlVersionDigest string
	//go:embed sql/version_config.sql
	sqlVersionConfig string
	//go:embed sql/version_load.sql
	sqlVersionLoad string
	//go:embed sql/version_list.sql
	sqlVersionList string
	//go:embed sql/version_files.sql
	sqlVersionFiles string
	//go:embed sql/file_insert.sql
	sqlFileInsert string
	//go:embed sql/native_store.sql
	sqlNativeStore string
	//go:embed sql/native_find.sql
	sqlNativeFind string
	//go:embed sql/native_seen.sql
	sqlNativeSeen string
	//go:embed sql/live_set.sql
	sqlLiveSet string
	//go:embed sql/live_revision.sql
	sqlLiveRevision string
	//go:embed sql/live_routes.sql
	sqlLiveRoutes string
	//go:embed sql/live_since.sql
	sqlLiveSince string
)
