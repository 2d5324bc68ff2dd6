//! The configuration: default.toml (embedded; the reference page) < a command's own defaults < file < environment < flags.
//!
//! A `Config` is valid as a whole. All errors are reported at once, each with its key, its value (secrets masked), its source and
//! what is allowed. An unknown key or `BYTEPASS_…` variable is an error.

mod auth;
mod database;
mod events;
mod fields;
mod issuer_keys;
mod limits;
mod network;
mod reader;
mod receipts;
mod server;
mod storage;
mod sweeper;
mod telemetry;
mod webhooks;
mod workers;

#[cfg(test)]
mod tests;

pub use auth::{Auth, Issuer};
pub use database::Database;
pub use events::{Events, SnsTopic};
pub use issuer_keys::{IssuerKeys, KeyAlgorithm, PublicKey};
pub use limits::Limits;
pub use network::Network;
pub use reader::error::{ConfigError, ConfigErrors};
pub use reader::section::Explained;
pub use reader::sources::{Override, Sources};
pub use receipts::{ReceiptKey, Receipts};
pub use server::{Cors, ForwardedHeader, Server, reachable};
pub use storage::{AccessKey, Storage};
pub use sweeper::Sweeper;
pub use telemetry::{LogFormat, Telemetry};
pub use webhooks::{WebhookEndpoint, WebhookSettings};
pub use workers::Workers;

use crate::domain::field::FieldPolicies;

use reader::error::nearest;
use reader::layers::Layers;
use reader::section::{Report, Section, refusal};
use reader::value::{Node, Value};

const NO_BUCKET: &str = "must name the bucket";

/// The sections, in the order of default.toml.
const SECTIONS: [&str; 13] = [
    "server",
    "cors",
    "database",
    "storage",
    "auth",
    "events",
    "receipts",
    "limits",
    "workers",
    "sweeper",
    "webhooks",
    "telemetry",
    "fields",
];

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[cors]`.
    pub cors: Cors,
    /// `[database]`.
    pub database: Database,
    /// `[storage]`.
    pub storage: Storage,
    /// `[auth]`.
    pub auth: Auth,
    /// `[events]`.
    pub events: Events,
    /// `[receipts]`.
    pub receipts: Receipts,
    /// `[limits]`.
    pub limits: Limits,
    /// `[workers]`.
    pub workers: Workers,
    /// `[sweeper]`.
    pub sweeper: Sweeper,
    /// `[webhooks]`.
    pub webhooks: WebhookSettings,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    fields: FieldPolicies,
    explained: Vec<Explained>,
}

impl Config {
    /// Reads all sources. The error has a line for each error in them.
    pub fn load(sources: &Sources) -> Result<Config, ConfigErrors> {
        let mut report = Report::default();
        let mut layers = Layers::read(sources, &mut report.errors);
        // The keys of an unreadable source are missing; errors about their defaults would be misleading.
        if layers.unreadable {
            return Err(ConfigErrors::of(report.errors));
        }

        let server = section(&mut layers, "server", &mut report, Server::read);
        let cors = section(&mut layers, "cors", &mut report, Cors::read);
        let database = section(&mut layers, "database", &mut report, Database::read);
        let storage = section(&mut layers, "storage", &mut report, Storage::read);
        let auth = section(&mut layers, "auth", &mut report, |section| {
            Auth::read(section, &sources.env)
        });
        let events = section(&mut layers, "events", &mut report, Events::read);
        let receipts = section(&mut layers, "receipts", &mut report, |section| {
            Receipts::read(section, &sources.env)
        });
        let limits = section(&mut layers, "limits", &mut report, Limits::read);
        let workers = section(&mut layers, "workers", &mut report, Workers::read);
        let sweeper = section(&mut layers, "sweeper", &mut report, Sweeper::read);
        let webhooks = section(&mut layers, "webhooks", &mut report, |section| {
            WebhookSettings::read(section, &sources.env)
        });
        let telemetry = section(&mut layers, "telemetry", &mut report, Telemetry::read);
        let fields = fields::read(take(&mut layers, "fields"), storage.as_ref(), &mut report);
        refuse_unknown_sections(layers, &mut report);
        if let (Some(sweeper), Some(fields), Some(storage)) = (&sweeper, &fields, &storage) {
            sweeper.refuse_early(fields, storage, &mut report);
        }

        let Report { explained, errors } = report;
        let whole = || {
            Some(Config {
                server: server?,
                cors: cors?,
                database: database?,
                storage: storage?,
                auth: auth?,
                events: events?,
                receipts: receipts?,
                limits: limits?,
                workers: workers?,
                sweeper: sweeper?,
                webhooks: webhooks?,
                telemetry: telemetry?,
                fields: fields?,
                explained,
            })
        };
        match whole() {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors::of(errors)),
        }
    }

    /// The policy of each field.
    pub fn fields(&self) -> &FieldPolicies {
        &self.fields
    }

    /// Every key with its value (secrets masked) and its source, in the order of default.toml.
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }

    /// Checks what offline commands need in addition: a bucket.
    pub fn require_for_commands(&self) -> Result<(), ConfigErrors> {
        match self.storage.bucket.is_empty() {
            true => Err(ConfigErrors::of(vec![refusal(
                &self.explained,
                "storage.bucket",
                NO_BUCKET,
            )])),
            false => Ok(()),
        }
    }

    /// Checks what `serve` needs in addition: a bucket, an issuer, a signing key, and a URL for clients.
    pub fn require_for_serve(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let mut refuse = |key: &str, problem: &str| {
            errors.push(refusal(&self.explained, key, problem));
        };
        if !self.server.is_local() && self.server.public_url.is_none() {
            let listen = self.server.listen;
            let problem = format!(
                "must be the URL that clients use, such as \"https://uploads.example\", because server.listen is {listen}"
            );
            refuse("server.public_url", &problem);
        }
        if self.storage.bucket.is_empty() {
            refuse("storage.bucket", NO_BUCKET);
        }
        if self.auth.issuers.is_empty() {
            let problem = "must have at least one [[auth.issuers]]";
            refuse("auth.issuers", problem);
        }
        if self.receipts.keys.is_empty() {
            let problem = "must have a key to sign receipts with: `openssl genpkey -algorithm ed25519 -out receipts.pem`, \
                 then keys = [{ kid = \"2026-01\", file = \"receipts.pem\" }]";
            refuse("receipts.keys", problem);
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors::of(errors))
        }
    }
}

fn take(layers: &mut Layers, name: &str) -> Option<Node> {
    let at = layers
        .sections
        .iter()
        .position(|(known, _)| known == name)?;
    Some(layers.sections.remove(at).1)
}

/// Reads one section and reports its unknown keys.
fn section<T>(
    layers: &mut Layers,
    name: &str,
    report: &mut Report,
    read: impl FnOnce(&mut Section) -> Option<T>,
) -> Option<T> {
    let node = take(layers, name)?;
    let mut section = Section::open(name.to_owned(), node, report)?;
    let value = read(&mut section);
    section.finish();
    value
}

fn refuse_unknown_sections(layers: Layers, report: &mut Report) {
    for (name, node) in layers.sections {
        let problem = match (&node.value, nearest(&name, SECTIONS.into_iter())) {
            (Value::Table(_), Some(near)) => format!("unknown section; did you mean [{near}]?"),
            (Value::Table(_), None) => {
                format!("unknown section; must be one of {}", SECTIONS.join(", "))
            }
            _ => format!("must be in a section: {}", SECTIONS.join(", ")),
        };
        let error = ConfigError::about(&name, &node.source, problem);
        report.errors.push(error);
    }
}
