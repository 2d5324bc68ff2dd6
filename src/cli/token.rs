//! `bytepass token`: prints a token for a caller, signed with the development secret of a data folder.

use std::path::PathBuf;

use chrono::Utc;
use clap::Args;

use crate::auth::{MintRequest, mint_hs256};
use crate::domain::principal::{FieldPattern, Scope};

use super::dev::data::{self, DevSecrets};
use super::outcome::{self, Failure};

/// The issuer of development tokens for users: owners are `user:<sub>`.
pub(super) const USERS: &str = "bytepass-dev-users";
/// The issuer of development tokens for backends and ops: owners are `service:<sub>`.
pub(super) const BACKENDS: &str = "bytepass-dev-backends";
/// The audience of development tokens.
pub(super) const AUDIENCE: &str = "bytepass";
/// How long a development token lives, in seconds: a working day.
pub(super) const LIFETIME_SECS: u32 = 12 * 3600;

#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The caller's subject; the owner is user:<SUB>, or service:<SUB> with any scope but uploads:write
    #[arg(long, default_value = "1", value_name = "SUB")]
    sub: String,
    /// The token's scopes, separated by spaces
    #[arg(long, default_value = "uploads:write", value_name = "SCOPES")]
    scope: String,
    /// Restrict the token to a field (Product.image) or a model (Product.*); may be repeated
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<String>,
    /// The token's lifetime in seconds
    #[arg(long, default_value_t = LIFETIME_SECS, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lifetime_secs: u32,
    /// The data folder of `bytepass dev`
    #[arg(long, default_value = "bytepass-data", value_name = "DIR")]
    data_dir: PathBuf,
}

pub(super) fn run(args: TokenArgs) -> Result<(), Failure> {
    let scopes = args
        .scope
        .split_whitespace()
        .map(scope)
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(wrong) = args
        .fields
        .iter()
        .find(|field| FieldPattern::parse(field).is_none())
    {
        return Err(Failure::Usage(format!(
            "--field {wrong}: must be a field (Product.image) or a model (Product.*)"
        )));
    }
    if !(1..=200).contains(&args.sub.len()) || args.sub.chars().any(char::is_control) {
        return Err(Failure::Usage(
            "--sub: must have 1 to 200 bytes and no control characters".to_owned(),
        ));
    }
    let secrets = data::read(&args.data_dir)?;
    let fields = (!args.fields.is_empty()).then_some(args.fields.as_slice());
    let token = mint(&secrets, &args.sub, &scopes, fields, args.lifetime_secs);
    outcome::print(&(token + "\n"))
}

/// Signs a development token. The scopes decide which issuer signs it.
pub(super) fn mint(
    secrets: &DevSecrets,
    subject: &str,
    scopes: &[Scope],
    fields: Option<&[String]>,
    lifetime_secs: u32,
) -> String {
    let is_user = scopes.iter().all(|&scope| scope == Scope::UploadsWrite);
    let (issuer, secret) = if is_user {
        (USERS, &secrets.users)
    } else {
        (BACKENDS, &secrets.backends)
    };
    let request = MintRequest {
        issuer,
        audience: AUDIENCE,
        subject,
        scopes,
        fields,
        kid: None,
        now: Utc::now(),
        lifetime_secs,
    };
    mint_hs256(secret, &request)
}

fn scope(name: &str) -> Result<Scope, Failure> {
    Scope::parse(name).ok_or_else(|| {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        Failure::Usage(format!("--scope {name}: must be one of {known}"))
    })
}
