//! Databases to measure on: SQLite files, and a Postgres server that is given, or started for the benchmark.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use url::Url;

use super::options::{Common, Database};
use super::{Outcome, failed};

/// A kind of database, and what makes one.
pub enum Databases {
    /// Files in folders.
    Sqlite,
    /// A server; the databases are dropped at the end.
    Postgres {
        /// A role that may create databases.
        admin: Url,
        /// The server, if the benchmark started it.
        server: Option<Child>,
        /// The databases made.
        made: Vec<String>,
    },
}

impl Databases {
    /// Prepares this kind; `None` without such a server.
    pub fn of(kind: Database, options: &Common) -> Outcome<Option<Databases>> {
        if kind == Database::Sqlite {
            return Ok(Some(Databases::Sqlite));
        }
        let (url, server) = match &options.postgres {
            Some(url) => (url.clone(), None),
            None => match throwaway(&options.dir)? {
                Some((url, server)) => (url, Some(server)),
                None => return Ok(None),
            },
        };
        Ok(Some(Databases::Postgres {
            admin: Url::parse(&url).map_err(failed("the URL of Postgres"))?,
            server,
            made: Vec::new(),
        }))
    }

    /// A new, empty database; an SQLite file lies in `folder`.
    pub fn create(&mut self, folder: &Path) -> Outcome<String> {
        match self {
            Databases::Sqlite => {
                let path = folder.join("bench.sqlite");
                Ok(format!("sqlite://{}", path.display()))
            }
            Databases::Postgres { admin, made, .. } => {
                let name = format!("bytepass_bench_{:016x}", rand::random::<u64>());
                execute(admin, &format!("CREATE DATABASE {name}"))?;
                let mut url = admin.clone();
                url.set_path(&name);
                made.push(name);
                Ok(url.into())
            }
        }
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        let Databases::Postgres {
            admin,
            server,
            made,
        } = self
        else {
            return;
        };
        match server {
            Some(server) => {
                // It stops when its standard input ends.
                drop(server.stdin.take());
                let _ = server.wait();
            }
            None => {
                for name in made {
                    let dropped = execute(
                        admin,
                        &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                    );
                    if let Err(error) = dropped {
                        eprintln!("{error}");
                    }
                }
            }
        }
    }
}

fn execute(admin: &Url, sql: &str) -> Outcome<()> {
    PgConnection::establish(admin.as_str())
        .map_err(failed("connecting to Postgres"))?
        .batch_execute(sql)
        .map_err(failed(sql))
}

/// The server that `tests/run` would start; `None` where Postgres is not installed.
fn throwaway(dir: &Path) -> Outcome<Option<(String, Child)>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/postgres.py");
    let mut server = Command::new("python3")
        .arg(script)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed("python3, to start Postgres"))?;
    let mut url = String::new();
    if let Some(output) = server.stdout.take() {
        let read = BufReader::new(output).read_line(&mut url);
        read.map_err(failed("the URL of Postgres"))?;
    }
    if !url.trim().is_empty() {
        return Ok(Some((url.trim().to_owned(), server)));
    }
    match server.wait().map_err(failed("Postgres"))?.code() {
        Some(3) => Ok(None),
        _ => Err("Postgres did not start".to_owned()),
    }
}
