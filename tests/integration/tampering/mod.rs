//! A client that holds a presigned URL and lies: about size, checksum, type, headers or time.

mod declared;
mod executable_types;
mod headers;
mod overwrite;
mod signature;
