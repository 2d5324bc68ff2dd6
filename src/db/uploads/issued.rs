//! Evidence that an upload's row is committed and pending. Only with it a PUT is presigned.

use crate::db::Db;
use crate::db::engine::error::DbError;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};
use crate::policy::evidence::{CommittedRows, Rows};

/// A pending upload whose row is committed. Only `db` builds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued(Upload);

impl CommittedRows for Rows {
    type Issued = Issued;
}

impl Issued {
    /// The committed upload.
    pub fn upload(&self) -> &Upload {
        &self.0
    }

    /// The committed upload, by value.
    pub fn into_upload(self) -> Upload {
        self.0
    }

    /// Evidence for a pending upload that a transaction has just committed.
    pub(super) fn committed(upload: Upload) -> Issued {
        Issued(upload)
    }

    /// For tests that sign without a database.
    #[cfg(test)]
    pub(crate) fn without_row(upload: Upload) -> Issued {
        Issued(upload)
    }
}

/// An upload as its committed row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It can still be signed for.
    Pending(Issued),
    /// It is confirmed, or ended without a confirm.
    Settled(Upload),
}

impl Committed {
    /// Wraps an upload whose row is committed.
    pub(in crate::db) fn new(upload: Upload) -> Committed {
        match upload.status {
            Status::Pending => Committed::Pending(Issued(upload)),
            _ => Committed::Settled(upload),
        }
    }

    /// The upload, in any status.
    pub fn upload(&self) -> &Upload {
        match self {
            Committed::Pending(issued) => issued.upload(),
            Committed::Settled(upload) => upload,
        }
    }
}

impl Db {
    /// An upload with the evidence to sign for it, where it is pending. The broker decides whether its caller may see it.
    pub async fn find_committed(&self, id: UploadId) -> Result<Option<Committed>, DbError> {
        Ok(self.find_upload(id).await?.map(Committed::new))
    }
}
