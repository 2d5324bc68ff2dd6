//! The standard `OTEL_*` variables, as far as they decide whether and how traces are exported. The SDK reads the others itself:
//! headers, time limits, the sampler, the resource, the batch.

use super::export::TRACES_PATH;

/// A variable that asks for what this program can't do.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct InvalidVariable {
    /// The variable.
    pub name: &'static str,
    /// What is wrong; never its value, which may hold a secret.
    pub problem: &'static str,
}

/// What the variables ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Variables {
    /// The URL that spans are posted to.
    pub url: String,
    /// The variable that says so, for errors about it.
    pub named_by: &'static str,
    /// Whether the service's name is set too.
    pub(super) names_service: bool,
}

const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EXACT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const SIGNAL_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SIGNAL_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";

impl Variables {
    /// Reads this process's; `None` where nothing is to be exported.
    pub fn of_process() -> Result<Option<Variables>, InvalidVariable> {
        Variables::read(|name| std::env::var(name).ok())
    }

    /// Reads them from somewhere else. An empty one counts as not set, as the specification says.
    pub(super) fn read(
        find: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Variables>, InvalidVariable> {
        let find = |name: &str| {
            let text = find(name).map(|text| text.trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let is_disabled =
            find("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let is_none = find("OTEL_TRACES_EXPORTER").is_some_and(|it| it == "none");
        if is_disabled || is_none {
            return Ok(None);
        }
        let (url, named_by) = match (find(EXACT), find(BASE)) {
            (Some(url), _) => (url, EXACT),
            (None, Some(base)) => (
                format!("{}/{TRACES_PATH}", base.trim_end_matches('/')),
                BASE,
            ),
            (None, None) => return Ok(None),
        };
        let protocol = [SIGNAL_PROTOCOL, PROTOCOL]
            .into_iter()
            .find_map(|name| Some((name, find(name)?)));
        if let Some((name, protocol)) = protocol
            && protocol != "http/protobuf"
        {
            let problem = "only http/protobuf is spoken here; collectors take it on port 4318";
            return Err(InvalidVariable { name, problem });
        }
        for name in [SIGNAL_COMPRESSION, COMPRESSION] {
            if find(name).is_some_and(|it| it != "none") {
                let problem = "compression is not supported; leave it out";
                return Err(InvalidVariable { name, problem });
            }
        }
        let attributes = find("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let names_service = find("OTEL_SERVICE_NAME").is_some()
            || attributes
                .split(',')
                .any(|it| it.trim_start().starts_with("service.name="));
        Ok(Some(Variables {
            url,
            named_by,
            names_service,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Option<Variables>, InvalidVariable> {
        Variables::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_exported_unless_an_endpoint_says_where_to() {
        for set in [
            &[][..],
            &[(BASE, "")],
            &[("OTEL_SERVICE_NAME", "shop")],
            &[(BASE, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")],
            &[(BASE, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert_eq!(read(set).unwrap(), None, "{set:?}");
        }
    }

    #[test]
    fn a_base_gets_the_path_of_traces_and_an_exact_endpoint_none() {
        let url = |set: &[(&str, &str)]| read(set).unwrap().unwrap().url;
        let traces = "http://c:4318/v1/traces";
        assert_eq!(url(&[(BASE, "http://c:4318")]), traces);
        assert_eq!(url(&[(BASE, "http://c:4318/")]), traces);
        assert_eq!(
            url(&[(BASE, "http://c/x"), (EXACT, "http://d/y")]),
            "http://d/y"
        );
    }

    #[test]
    fn what_this_program_can_not_do_is_an_error_that_names_the_variable() {
        for (name, value) in [
            (PROTOCOL, "grpc"),
            (SIGNAL_PROTOCOL, "http/json"),
            (COMPRESSION, "gzip"),
        ] {
            let set = [(BASE, "http://c:4318"), (name, value)];
            let error = read(&set).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains(value), "{error}");
        }
        let fine = [
            (BASE, "http://c"),
            (PROTOCOL, "http/protobuf"),
            (COMPRESSION, "none"),
        ];
        assert!(read(&fine).unwrap().is_some());
    }
}
