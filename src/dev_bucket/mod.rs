//! (room: dev_bucket)
