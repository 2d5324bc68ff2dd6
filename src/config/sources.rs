//! What a configuration is read from. The process's environment is looked at in one place, [`Sources::from_process`], so
//! that two configurations can live in one test process.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The layers of a configuration, the weakest first: the embedded default.toml, `defaults`, `file`, `env`, `overrides`.
#[derive(Default)]
pub struct Sources {
    /// TOML that a command puts right above default.toml, and the name under which `check-config` shows it (`dev`).
    pub defaults: Option<(&'static str, String)>,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Environment variables. `BYTEPASS_…` are settings; the others are only read where an issuer's `secret_env` names one.
    pub env: BTreeMap<String, String>,
    /// Flags of the command line.
    pub overrides: Vec<Override>,
}

/// A flag that sets a key.
pub struct Override {
    /// The key, `server.listen`.
    pub key: &'static str,
    /// Its value, as text.
    pub value: String,
    /// The flag as it is written, `--listen`.
    pub flag: &'static str,
}

impl Sources {
    /// The file, and the environment of this process.
    pub fn from_process(file: Option<PathBuf>) -> Sources {
        let readable = std::env::vars_os().map(|(name, value)| {
            // A value that is no UTF-8 stays visible as such, so that its key refuses it rather than misses it.
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        });
        Sources {
            file,
            env: readable.collect(),
            ..Sources::default()
        }
    }

    /// Puts a layer above the defaults and below the file.
    pub fn with_defaults(mut self, label: &'static str, toml: String) -> Sources {
        self.defaults = Some((label, toml));
        self
    }

    /// Adds a flag, if it was given.
    pub fn with_flag(
        mut self,
        flag: &'static str,
        key: &'static str,
        value: Option<String>,
    ) -> Sources {
        self.overrides
            .extend(value.map(|value| Override { key, value, flag }));
        self
    }
}
