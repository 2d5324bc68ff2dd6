//! Recording a confirm: the one transaction that makes a sealed copy the upload's object.

use chrono::{DateTime, Utc};

use super::Db;
use super::attempts::{self, AttemptState};
use super::connection::AnyConnection;
use super::outbox::NewEvent;
use super::queue::Write;
use super::transition::{Advance, Recorded, Transition};
use super::trouble::{DbTrouble, Failure};
use super::uploads::find;
use crate::domain::ids::UploadId;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{ConfirmedBy, Step};
use crate::policy::evidence::Verified;

impl Db {
    /// Records the key of a verified copy, if its attempt is still open and the upload still pending. On `Stale` the attempt
    /// is abandoned; the upload that comes back says what it became in the meantime.
    pub async fn record_confirm(
        &self,
        upload: UploadId,
        key: FinalKey,
        verified: Verified,
        by: ConfirmedBy,
        at: DateTime<Utc>,
    ) -> Result<Transition, DbTrouble> {
        let etag = verified.etag().to_owned();
        let event = self.new_event(at);
        self.queue
            .submit(RecordConfirm {
                upload,
                key,
                etag,
                by,
                at,
                event,
            })
            .await
    }
}

struct RecordConfirm {
    upload: UploadId,
    key: FinalKey,
    etag: String,
    by: ConfirmedBy,
    at: DateTime<Utc>,
    event: NewEvent,
}

impl Write for RecordConfirm {
    type Answer = Transition;

    fn upload(&self) -> UploadId {
        self.upload
    }

    /// The attempt before the upload: a sweeper that abandons the attempt at the same time holds its row or waits for it, so
    /// under READ COMMITTED one of the two wins cleanly, and no object is removed that a committed row names.
    fn write(&self, conn: &mut AnyConnection) -> Result<Transition, Failure> {
        if !attempts::settle(conn, self.upload, &self.key, AttemptState::Recorded)? {
            return self.without_change(conn);
        }
        let advance = Advance {
            upload: self.upload,
            step: Step::Confirm,
            event: self.event.clone(),
            at: self.at,
            recorded: Some(Recorded {
                key: self.key.clone(),
                etag: self.etag.clone(),
                by: self.by,
            }),
            differences: None,
        };
        match advance.run(conn)? {
            Some(row) => Ok(Transition::Moved(row.into_upload()?)),
            None => {
                attempts::take_back(conn, self.upload, &self.key)?;
                self.without_change(conn)
            }
        }
    }
}

impl RecordConfirm {
    /// Its own key recorded means that it has won, in a commit whose answer was lost.
    fn without_change(&self, conn: &mut AnyConnection) -> Result<Transition, Failure> {
        let Some(upload) = find(conn, self.upload)? else {
            return Ok(Transition::Missing);
        };
        let recorded = upload
            .confirmation
            .as_ref()
            .map(|confirmation| &confirmation.key);
        Ok(if recorded == Some(&self.key) {
            Transition::Moved(upload)
        } else {
            Transition::Stale(upload)
        })
    }
}
