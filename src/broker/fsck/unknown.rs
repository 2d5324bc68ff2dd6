//! The end of unknown objects. A database that is not this bucket's, or that is older or emptier than it was, knows nothing of
//! objects that somebody needs: so they go only after the whole walk, and only where the database knows of more than it doesn't.

use crate::broker::{Broker, BrokerError};
use crate::db::KeyOwner;
use crate::domain::object_key::FinalKey;

use super::{Finding, FsckWalk};

impl FsckWalk {
    /// Why no unknown object may be removed, for a person; `None` where they may. Holds for a walk at its end.
    pub fn keeps_unknown(&self) -> Option<String> {
        let (unknown, rows) = (self.unknown, self.rows);
        let why = match rows {
            _ if !self.ended => "not all was looked at".to_owned(),
            0 => "the database records no object of this bucket".to_owned(),
            rows if unknown > rows => format!("the database records no more than {rows}"),
            _ => return None,
        };
        Some(format!(
            "{unknown} unknown objects are kept, because {why}: is it this bucket's database, and whole?"
        ))
    }
}

impl Broker {
    /// Removes an unknown object that a walk to its end has found, after both tables were asked again. Keeps it where the walk says
    /// so, and where it is too young to be judged. Afterwards the finding says whether it is gone.
    pub async fn remove_unknown(
        &self,
        walk: &FsckWalk,
        finding: &mut Finding,
    ) -> Result<(), BrokerError> {
        if !finding.outlived || walk.keeps_unknown().is_some() {
            return Ok(());
        }
        let Some(name) = self.own_name(&finding.key) else {
            return Ok(());
        };
        // The attempt first: one that is recorded in between has an upload then.
        let owner = self.0.db.owner_of_key(&finding.key).await?;
        let bucket = &self.0.options.bucket;
        let row = self.0.db.recorded_at(bucket, &finding.key).await?;
        if owner == KeyOwner::Nobody && row.is_none() {
            let key = FinalKey::recorded(finding.key.clone(), name);
            finding.fixed = self.0.store.remove_final(&key).await.is_ok();
        }
        Ok(())
    }
}
