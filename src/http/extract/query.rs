//! Parses query parameters strictly: only known names, each once.

use std::collections::BTreeMap;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use percent_encoding::percent_decode_str;

use crate::http::problem::{Code, Problem};

/// A type that is parsed from a query.
pub trait Parameters: Sized {
    /// The known parameters; any other is rejected.
    const NAMES: &'static [&'static str];

    /// Parses the values.
    fn read(values: &Values, limits: PageLimits) -> Result<Self, Problem>;
}

/// The number of items on a page.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// Without `limit`.
    pub default: u32,
    /// The largest `limit`.
    pub max: u32,
}

impl Default for PageLimits {
    fn default() -> Self {
        PageLimits {
            default: 50,
            max: 200,
        }
    }
}

/// The decoded values of a query, by name.
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// The parsed value of a parameter. `allowed` completes the detail "the query parameter `limit` must be …".
    pub fn get<T>(
        &self,
        name: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        parse(text)
            .map(Some)
            .ok_or_else(|| invalid(format!("the query parameter `{name}` must be {allowed}")))
    }
}

/// The query as a `T`.
pub struct Query<T>(pub T);

impl<T: Parameters> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Query<T>, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let limits = req
            .app_data::<web::Data<PageLimits>>()
            .map_or_else(PageLimits::default, |limits| ***limits);
        ready(parse(req.query_string(), limits).map(Query))
    }
}

/// Parses a query string without its `?`.
pub fn parse<T: Parameters>(query: &str, limits: PageLimits) -> Result<T, Problem> {
    let mut values = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if !T::NAMES.contains(&name.as_str()) {
            let known = T::NAMES.join(", ");
            let name: String = name.chars().take(50).collect();
            return Err(invalid(format!(
                "unknown query parameter `{name}`; known parameters are {known}"
            )));
        }
        if values.insert(name.clone(), value).is_some() {
            return Err(invalid(format!(
                "the query parameter `{name}` must occur only once"
            )));
        }
    }
    T::read(&Values(values), limits)
}

fn decoded(text: &str) -> Result<String, Problem> {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| invalid("the query must be UTF-8"))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

/// The greatest age, in seconds: a hundred years.
const MAX_AGE_SECS: u64 = 100 * 366 * 86_400;

/// Parses an age such as `15m` into seconds; at most a hundred years.
pub fn age_secs(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(secs).filter(|&age| age <= MAX_AGE_SECS)
}
