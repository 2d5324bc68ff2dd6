//! `[webhooks]` and `[[webhooks.endpoints]]`: where events are delivered, and how failed deliveries are retried.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use crate::domain::event::EventType;

use super::reader::error::one_of;
use super::reader::layers::named_file;
use super::reader::section::Section;
use super::reader::sources::Env;
use super::reader::urls::{Http, Path, parse_url};
use super::reader::value::{Node, Show, Source, Value};

/// The most attempts of a schedule.
const MAX_ATTEMPTS: usize = 30;
/// The longest pause, in seconds.
const MAX_PAUSE_SECS: i64 = 604_800;

/// `[webhooks]`.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The pause before each attempt, in seconds, the first included. A delivery is dead after the last one.
    pub schedule_secs: Vec<u32>,
    /// The largest random addition to a pause, in percent.
    pub jitter_percent: u32,
    /// How long a broker keeps a claimed delivery, in seconds; longer than an attempt takes.
    pub lease_secs: u32,
    /// The time limit of an attempt, in milliseconds.
    pub timeout_ms: u64,
    /// The most bytes of an answer's body that are read.
    pub max_response_bytes: usize,
    /// The endpoints. Their names differ.
    pub endpoints: Vec<WebhookEndpoint>,
}

/// `[[webhooks.endpoints]]`.
#[derive(Debug, Clone)]
pub struct WebhookEndpoint {
    /// The name, for rows, logs and metrics.
    pub name: String,
    /// The URL.
    pub url: String,
    /// The secrets that sign, `whsec_…`: one, or two while one is being replaced.
    pub secrets: Vec<SecretString>,
    /// The event types that it receives; never empty.
    pub types: Vec<EventType>,
    /// Whether it may lie in a private network or on this machine; only there is plain http allowed.
    pub allow_private: bool,
    /// The most concurrent deliveries.
    pub concurrency: usize,
}

impl WebhookSettings {
    pub(super) fn read(section: &mut Section, env: Env) -> Option<WebhookSettings> {
        let schedule_secs = section.parse("schedule_secs", Show::Plain, schedule);
        let jitter_percent = section.integer("jitter_percent", 0..=100);
        let lease_secs = section.integer("lease_secs", 2..=3_600);
        let timeout_ms = section.integer("timeout_ms", 100..=60_000);
        let max_response_bytes = section.integer("max_response_bytes", 0..=65_536);
        let endpoints = read_endpoints(section, env);
        let (lease_secs, timeout_ms) = (lease_secs?, timeout_ms?);
        if u64::from(lease_secs) * 1_000 <= timeout_ms {
            let problem = format!("must be longer than webhooks.timeout_ms, {timeout_ms} ms");
            section.refuse("lease_secs", problem);
            return None;
        }
        Some(WebhookSettings {
            schedule_secs: schedule_secs?,
            jitter_percent: jitter_percent?,
            lease_secs,
            timeout_ms,
            max_response_bytes: max_response_bytes?,
            endpoints: endpoints?,
        })
    }
}

fn read_endpoints(section: &mut Section, env: Env) -> Option<Vec<WebhookEndpoint>> {
    let problem = "must be written as [[webhooks.endpoints]], once for each endpoint";
    let endpoints = section.tables("endpoints", 0..=usize::MAX, problem, |section| {
        WebhookEndpoint::read(section, env)
    })?;
    for (index, endpoint) in endpoints.iter().enumerate() {
        let mut earlier = endpoints[..index].iter();
        if let Some(other) = earlier.position(|it| it.name == endpoint.name) {
            let problem = format!("must differ from the name of webhooks.endpoints[{other}]");
            let key = format!("webhooks.endpoints[{index}].name");
            section.report().refuse(&key, problem);
        }
    }
    Some(endpoints)
}

impl WebhookEndpoint {
    fn read(section: &mut Section, env: Env) -> Option<WebhookEndpoint> {
        let all = |event: EventType| Node {
            value: Value::Text(event.as_str().to_owned()),
            source: Source::Default,
        };
        let every = EventType::ALL.into_iter().map(all).collect();
        section.fallback("types", Value::List(every));
        section.fallback("allow_private", Value::Boolean(false));
        section.fallback("concurrency", Value::Integer(8));
        let name = section.text("name", Show::Plain, name);
        let allow_private = section.boolean("allow_private");
        let url = section.text("url", Show::Url, |text| {
            url(text, allow_private.unwrap_or_default())
        });
        let secrets = secrets(section, env);
        let types = section.list("types", event_type);
        if types.as_ref().is_some_and(Vec::is_empty) {
            section.refuse(
                "types",
                format!("must list at least one of {}", type_names()),
            );
        }
        let concurrency = section.integer("concurrency", 1..=256);
        Some(WebhookEndpoint {
            name: name?,
            url: url?,
            secrets: secrets?,
            types: types?,
            allow_private: allow_private?,
            concurrency: concurrency?,
        })
    }
}

fn schedule(node: &Node) -> Result<Vec<u32>, String> {
    let numbers: Option<Vec<i64>> = match &node.value {
        Value::List(nodes) => nodes.iter().map(|node| node.value.as_integer()).collect(),
        Value::Untyped(text) => text.split(',').map(|it| it.trim().parse().ok()).collect(),
        _ => None,
    };
    let pause = |secs: i64| {
        let fits = (0..=MAX_PAUSE_SECS).contains(&secs);
        u32::try_from(secs).ok().filter(|_| fits)
    };
    let pauses: Option<Vec<u32>> = numbers.and_then(|it| it.into_iter().map(pause).collect());
    pauses
        .filter(|pauses| (1..=MAX_ATTEMPTS).contains(&pauses.len()))
        .ok_or_else(|| {
            format!("must be a list of 1 to {MAX_ATTEMPTS} integers from 0 to {MAX_PAUSE_SECS}")
        })
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let fits = (1..=64).contains(&text.len()) && text.chars().all(allowed);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "must be 1 to 64 letters, digits, - and _".to_owned())
}

/// Checks the scheme only; `outbound` checks the address.
fn url(text: &str, allow_private: bool) -> Result<String, String> {
    let url = parse_url(text, Http::Allowed, Path::Allowed)?;
    if url.scheme() == "http" && !allow_private {
        return Err(
            "must be https (http only to a private network, with allow_private = true)".into(),
        );
    }
    Ok(url.to_string())
}

fn secrets(section: &mut Section, env: Env) -> Option<Vec<SecretString>> {
    let ways = ["secrets", "secrets_env", "secrets_file"];
    if ways.into_iter().filter(|way| section.has(way)).count() != 1 {
        section.refuse_table("must have exactly one of secrets, secrets_env and secrets_file");
        ways.into_iter().for_each(|way| drop(section.take(way)));
        return None;
    }
    if section.has("secrets_env") {
        section.text("secrets_env", Show::Variable, |name| {
            let value = env.get(name);
            let value = value.ok_or("must name an environment variable that is set")?;
            one_or_two(value.split_whitespace())
        })
    } else if section.has("secrets_file") {
        section.parse("secrets_file", Show::Plain, |node| {
            one_or_two(named_file(node)?.split_whitespace())
        })
    } else {
        section.parse("secrets", Show::Masked, |node| {
            let texts = node.value.as_texts().ok_or(SECRETS)?;
            one_or_two(texts.into_iter())
        })
    }
}

const SECRETS: &str = "must be one secret, or two while one is replaced, each whsec_ and the base64 of 24 to 64 bytes; \
     try `openssl rand -base64 32`";

fn one_or_two<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<SecretString>, String> {
    let is_secret = |text: &str| {
        text.strip_prefix("whsec_")
            .and_then(|digits| STANDARD.decode(digits).ok())
            .is_some_and(|bytes| (24..=64).contains(&bytes.len()))
    };
    let secrets: Option<Vec<SecretString>> = texts
        .map(|text| is_secret(text).then(|| SecretString::from(text)))
        .collect();
    secrets
        .filter(|secrets| (1..=2).contains(&secrets.len()))
        .ok_or_else(|| SECRETS.to_owned())
}

fn event_type(text: &str) -> Result<EventType, String> {
    EventType::parse(text).ok_or_else(|| format!("must list only {}", type_names()))
}

fn type_names() -> String {
    one_of(EventType::ALL.iter().map(|event| event.as_str()))
}
