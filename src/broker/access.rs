//! Who may do what to which upload: the table of scopes in `API.md`, as code.

use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{ConfirmedBy, Upload};

use super::error::BrokerError;

/// What a caller wants with one upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Read,
    Confirm,
    Presign,
    Remove,
    Download,
    Attach,
    Operate,
}

/// Whether `uploads:write` allows it on one's own upload: what a record shows is for its backend to say, and who may give an
/// upload up before its time is for operations.
fn on_ones_own(act: Act) -> bool {
    !matches!(act, Act::Attach | Act::Operate)
}

/// The scopes that allow an act on anyone's upload.
fn scopes_for_anyones(act: Act) -> &'static [Scope] {
    match act {
        Act::Read => &[Scope::UploadsConfirm, Scope::AttachmentsWrite, Scope::Ops],
        Act::Confirm | Act::Presign => &[Scope::UploadsConfirm],
        Act::Remove | Act::Attach => &[Scope::AttachmentsWrite],
        Act::Operate => &[Scope::Ops],
        // Ops see rows, not payment proofs.
        Act::Download => &[Scope::UploadsConfirm, Scope::AttachmentsWrite],
    }
}

fn needed(act: Act) -> &'static str {
    match act {
        Act::Read => "uploads:write (your own uploads), uploads:confirm, attachments:write or ops",
        Act::Confirm | Act::Presign => "uploads:write (your own uploads) or uploads:confirm",
        Act::Remove => "uploads:write (your own uploads) or attachments:write",
        Act::Download => "uploads:write (your own uploads), uploads:confirm or attachments:write",
        Act::Attach => "attachments:write",
        Act::Operate => "ops",
    }
}

/// Refuses a token that could not do this to any upload; asked before an id is looked at, so that it tells nothing.
pub(super) fn check_scopes(caller: &Principal, act: Act) -> Result<(), BrokerError> {
    if caller.grant.is_some() && act == Act::Download {
        return Err(beyond_grants(
            "uploads:write, in a token and not in a grant",
        ));
    }
    let own = on_ones_own(act) && caller.has(Scope::UploadsWrite);
    let allowed = own || anyones(caller, act);
    if allowed {
        Ok(())
    } else {
        Err(BrokerError::ScopeInsufficient {
            needed: needed(act),
        })
    }
}

/// Refuses an upload that the caller may not see as if it did not exist, and one that it may only see as forbidden.
pub(super) fn check_upload(
    caller: &Principal,
    upload: &Upload,
    act: Act,
) -> Result<(), BrokerError> {
    // Its owner's other uploads are none of a grant's business.
    let foreign = caller.grant.is_some() && upload.grant != caller.grant;
    if foreign || !caller.reaches(&upload.field) {
        return Err(BrokerError::UploadNotFound);
    }
    if anyones(caller, act) || (on_ones_own(act) && owns(caller, upload)) {
        Ok(())
    } else if anyones(caller, Act::Read) {
        Err(BrokerError::ScopeInsufficient {
            needed: needed(act),
        })
    } else {
        Err(BrokerError::UploadNotFound)
    }
}

/// Refuses a list to a grant: it sees what was made under it, one by one.
pub(super) fn check_list(caller: &Principal) -> Result<(), BrokerError> {
    if caller.grant.is_some() {
        return Err(beyond_grants(
            "uploads:write, in a token: a grant lists nothing",
        ));
    }
    check_scopes(caller, Act::Read)
}

/// Refuses to delete for a grant what it may only cancel.
pub(super) fn check_delete(caller: &Principal) -> Result<(), BrokerError> {
    if caller.grant.is_some() {
        return Err(beyond_grants(
            "attachments:write, or uploads:write in a token: a grant cancels and doesn't delete",
        ));
    }
    Ok(())
}

fn beyond_grants(needed: &'static str) -> BrokerError {
    BrokerError::ScopeInsufficient { needed }
}

/// Whether the caller may read every owner's uploads.
pub(super) fn reads_anyones(caller: &Principal) -> bool {
    anyones(caller, Act::Read)
}

/// As whom a caller confirms an upload that it may confirm.
pub(super) fn confirms_as(caller: &Principal, upload: &Upload) -> ConfirmedBy {
    if owns(caller, upload) {
        ConfirmedBy::Client
    } else {
        ConfirmedBy::Service
    }
}

fn anyones(caller: &Principal, act: Act) -> bool {
    scopes_for_anyones(act)
        .iter()
        .any(|&scope| caller.has(scope))
}

fn owns(caller: &Principal, upload: &Upload) -> bool {
    caller.has(Scope::UploadsWrite) && caller.owner == upload.owner
}
