//! The sources of a configuration. The process's environment is read in one place, [`Sources::from_process`], so that tests can
//! have several configurations in one process.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, in which keys such as `secret_env` look up the variable that they name.
pub(in crate::config) type Env<'e> = &'e BTreeMap<String, String>;

/// The layers of a configuration, later ones override earlier ones: the embedded default.toml, `defaults`, `file`, `env`, `overrides`.
#[derive(Default)]
pub struct Sources {
    /// A command's own defaults as TOML, and the source that `check-config` shows for them (`dev`).
    pub defaults: Option<(&'static str, String)>,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Environment variables. `BYTEPASS_…` are settings; others are only read where a key such as `secret_env` names them.
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
    /// The flag, `--listen`.
    pub flag: &'static str,
}

impl Sources {
    /// A file and the environment of this process.
    pub fn from_process(file: Option<PathBuf>) -> Sources {
        let readable = std::env::vars_os().map(|(name, value)| {
            // Invalid UTF-8 is replaced and not skipped, so that its key refuses the value.
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

    /// Adds a layer above the defaults and below the file.
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
