//! Events by `getLogs`.
