//! Access rules: which scope allows which action on which upload.

use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::{ConfirmedBy, Upload};

use super::error::BrokerError;

/// An action on one upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Confirm,
    Presign,
    Remove,
    Download,
    Attach,
    Operate,
}

/// Whether `uploads:write` allows the action on the caller's own upload. A record's attachments belong to its backend, and
/// expiring an upload early belongs to operators.
fn is_allowed_for_owner(action: Action) -> bool {
    !matches!(action, Action::Attach | Action::Operate)
}

/// The scopes that allow the action on every owner's uploads.
fn scopes_for_any_owner(action: Action) -> &'static [Scope] {
    match action {
        Action::Read => &[Scope::UploadsConfirm, Scope::AttachmentsWrite, Scope::Ops],
        Action::Confirm | Action::Presign => &[Scope::UploadsConfirm],
        Action::Remove | Action::Attach => &[Scope::AttachmentsWrite],
        Action::Operate => &[Scope::Ops],
        // Operators see rows, not the contents of files.
        Action::Download => &[Scope::UploadsConfirm, Scope::AttachmentsWrite],
    }
}

fn needed(action: Action) -> &'static str {
    match action {
        Action::Read => {
            "uploads:write (your own uploads), uploads:confirm, attachments:write or ops"
        }
        Action::Confirm | Action::Presign => "uploads:write (your own uploads) or uploads:confirm",
        Action::Remove => "uploads:write (your own uploads) or attachments:write",
        Action::Download => {
            "uploads:write (your own uploads), uploads:confirm or attachments:write"
        }
        Action::Attach => "attachments:write",
        Action::Operate => "ops",
    }
}

/// Refuses a token that allows the action on no upload at all. Checked before the upload is read, so that the answer reveals
/// nothing about the id.
pub(super) fn check_scopes(caller: &Principal, action: Action) -> Result<(), BrokerError> {
    if caller.grant.is_some() && action == Action::Download {
        return Err(insufficient("uploads:write, in a token and not in a grant"));
    }
    let own = is_allowed_for_owner(action) && caller.has(Scope::UploadsWrite);
    match own || has_any_owner_scope(caller, action) {
        true => Ok(()),
        false => Err(insufficient(needed(action))),
    }
}

/// Refuses an upload that the caller may not see as not found, and one that it may see but not change as forbidden.
pub(super) fn check_upload(
    caller: &Principal,
    upload: &Upload,
    action: Action,
) -> Result<(), BrokerError> {
    // A grant reaches only its own uploads, not the others of its owner.
    let is_of_other_grant = caller.grant.is_some() && upload.grant != caller.grant;
    if is_of_other_grant || !caller.reaches(&upload.field) {
        return Err(BrokerError::UploadNotFound);
    }
    let own = is_allowed_for_owner(action) && owns(caller, upload);
    if own || has_any_owner_scope(caller, action) {
        Ok(())
    } else if reads_any_owner(caller) {
        Err(insufficient(needed(action)))
    } else {
        Err(BrokerError::UploadNotFound)
    }
}

/// Refuses a list to a grant, which reads its uploads one by one.
pub(super) fn check_list(caller: &Principal) -> Result<(), BrokerError> {
    if caller.grant.is_some() {
        return Err(insufficient(
            "uploads:write, in a token: a grant lists nothing",
        ));
    }
    check_scopes(caller, Action::Read)
}

/// Refuses a delete to a grant, which may only cancel.
pub(super) fn check_delete(caller: &Principal) -> Result<(), BrokerError> {
    if caller.grant.is_some() {
        return Err(insufficient(
            "attachments:write, or uploads:write in a token: a grant cancels and doesn't delete",
        ));
    }
    Ok(())
}

/// Refuses a caller that may not read and act on the whole system.
pub(super) fn check_ops(caller: &Principal) -> Result<(), BrokerError> {
    match caller.has(Scope::Ops) && caller.fields.is_none() {
        true => Ok(()),
        false => Err(insufficient(
            "ops, in a token that isn't narrowed to some fields",
        )),
    }
}

fn insufficient(needed: &'static str) -> BrokerError {
    BrokerError::ScopeInsufficient { needed }
}

/// Whether the caller may read every owner's uploads.
pub(super) fn reads_any_owner(caller: &Principal) -> bool {
    has_any_owner_scope(caller, Action::Read)
}

/// The role in which a caller confirms an upload that it may confirm.
pub(super) fn confirms_as(caller: &Principal, upload: &Upload) -> ConfirmedBy {
    if owns(caller, upload) {
        ConfirmedBy::Client
    } else {
        ConfirmedBy::Service
    }
}

fn has_any_owner_scope(caller: &Principal, action: Action) -> bool {
    scopes_for_any_owner(action)
        .iter()
        .any(|&scope| caller.has(scope))
}

fn owns(caller: &Principal, upload: &Upload) -> bool {
    caller.has(Scope::UploadsWrite) && caller.owner == upload.owner
}
