//! Grants: a backend mints one, and a page or an app without a token uploads with it.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use crate::db::{IdempotencyClaim, Minted, NewGrant};
use crate::domain::attachment::ObjectId;
use crate::domain::field::{FieldName, FieldPolicy};
use crate::domain::grant::Grant;
use crate::domain::ids::GrantId;
use crate::domain::principal::{Principal, Scope};
use crate::policy::admission::{RefusalKind, unknown_field};
use crate::policy::evidence::Declared;

use super::create::check_owner;
use super::idempotency::IdempotencyKey;
use super::{Broker, BrokerError, now};

const DEFAULT_UPLOADS: u64 = 1;
const MAX_UPLOADS: u64 = 1_000;
const DEFAULT_LIFETIME_SECS: u64 = 900;
const MAX_LIFETIME_SECS: u64 = 86_400;

/// A request for a grant.
#[derive(Debug, Clone)]
pub struct MintGrant {
    /// The one field.
    pub field: FieldName,
    /// The owner of its uploads, 1 to 255 bytes.
    pub owner: String,
    /// The one record that its uploads are attached to.
    pub object_id: Option<ObjectId>,
    /// The number of uploads, 1 to 1,000; 1 by default.
    pub max_uploads: Option<u64>,
    /// The most bytes of each upload, within the field's limits; by default the field's maximum.
    pub max_size: Option<u64>,
    /// The lifetime, in seconds, up to a day; 15 minutes by default.
    pub expires_in_secs: Option<u64>,
}

impl Broker {
    /// Commits a grant. A repeated request, by its idempotency key, returns the same grant.
    pub async fn mint_grant(
        &self,
        caller: &Principal,
        mint: MintGrant,
        key: Option<IdempotencyKey>,
    ) -> Result<Grant, BrokerError> {
        if !caller.has(Scope::GrantsWrite) {
            return Err(BrokerError::ScopeInsufficient {
                needed: "grants:write",
            });
        }
        let owner = check_owner(mint.owner)?;
        if !caller.reaches(&mint.field) {
            return Err(BrokerError::FieldNotAllowed(mint.field));
        }
        let fields = &self.0.options.fields;
        let policy = fields
            .get(&mint.field)
            .ok_or_else(|| BrokerError::Refused(unknown_field(&mint.field, fields)))?;
        let max_size = max_size(mint.max_size, policy)?;
        let uploads = within(
            "/max_uploads",
            mint.max_uploads,
            DEFAULT_UPLOADS,
            MAX_UPLOADS,
        )?;
        let lifetime_secs = within(
            "/expires_in",
            mint.expires_in_secs,
            DEFAULT_LIFETIME_SECS,
            MAX_LIFETIME_SECS,
        )?;

        let request = self.start_keyed(caller, "POST /v1/grants", key)?;
        let now = now();
        let grant = Grant {
            id: GrantId::new(now, &rand::random()),
            field: mint.field,
            owner,
            object_id: mint.object_id,
            max_uploads: u32::try_from(uploads).unwrap_or(u32::MAX),
            max_size,
            used: 0,
            created_at: now,
            expires_at: end(now, lifetime_secs),
        };
        let claim = request.as_ref();
        let new = NewGrant {
            claim: claim.map(|it| -> IdempotencyClaim { it.claim(grant.id.to_string(), now) }),
            grant,
            issuer: caller.issuer.clone(),
            subject: caller.subject.clone(),
        };
        match self.0.db.mint_grant(new).await? {
            Minted::Grant(grant) => Ok(grant),
            Minted::OtherBody => Err(BrokerError::IdempotencyKeyReused),
        }
    }

    /// The caller's grant, if it allows the upload that the caller wants to create.
    pub(super) async fn grant_for(
        &self,
        id: GrantId,
        declared: &Declared,
    ) -> Result<Grant, BrokerError> {
        // A grant without a row was withdrawn, even if its token is still valid.
        let grant = self.0.db.find_grant(id).await?;
        let grant = grant.ok_or(BrokerError::GrantOver)?;
        if declared.field != grant.field {
            return Err(BrokerError::FieldNotAllowed(declared.field.clone()));
        }
        let other_record = declared.object_id.is_some() && declared.object_id != grant.object_id;
        if grant.object_id.is_some() && other_record {
            let detail = "the grant is for one record; leave the object_id out";
            return Err(BrokerError::refused(
                RefusalKind::Invalid,
                "/object_id",
                detail,
            ));
        }
        if declared.size > grant.max_size {
            let detail = format!(
                "the grant allows up to {} bytes, not {}",
                grant.max_size, declared.size
            );
            return Err(BrokerError::refused(
                RefusalKind::SizeNotAllowed,
                "/size",
                detail,
            ));
        }
        Ok(grant)
    }

    /// Removes expired idempotency keys and grants, and the counters of owners that have nothing pending, at most `limit` of each;
    /// returns their number.
    pub async fn prune(&self, limit: u32) -> Result<usize, BrokerError> {
        let expired = self.0.db.prune(now(), limit).await?;
        Ok(expired + self.0.db.prune_usage(limit).await?)
    }
}

/// When a grant ends: on a whole second, the precision of its token, and never before the requested time.
fn end(now: DateTime<Utc>, lifetime_secs: u64) -> DateTime<Utc> {
    let second = TimeDelta::seconds(1);
    let end = now + TimeDelta::seconds(i64::try_from(lifetime_secs).unwrap_or(i64::MAX));
    end.duration_round_up(second).unwrap_or(end)
}

fn max_size(requested: Option<u64>, policy: &FieldPolicy) -> Result<u64, BrokerError> {
    let (least, most) = (policy.min_size, policy.max_size);
    let size = requested.unwrap_or(most);
    if (least..=most).contains(&size) {
        return Ok(size);
    }
    let detail = format!("{} allows {least} to {most} bytes, not {size}", policy.name);
    Err(BrokerError::refused(
        RefusalKind::SizeNotAllowed,
        "/max_size",
        detail,
    ))
}

fn within(
    pointer: &str,
    requested: Option<u64>,
    default: u64,
    most: u64,
) -> Result<u64, BrokerError> {
    let number = requested.unwrap_or(default);
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    let detail = format!("must be 1 to {most}, not {number}");
    Err(BrokerError::refused(RefusalKind::Invalid, pointer, detail))
}
