//! The resources of the API, one file each: the handlers, with the request and response types that they use.

pub mod attachments;
pub mod bucket_notifications;
pub mod grants;
pub mod receipts;
mod s3_notification;
pub mod upload_list;
pub mod uploads;
