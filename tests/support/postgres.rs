//! A Postgres database for one test, on the server that `tests/run` started; dropped at the end.

use std::net::{SocketAddr, ToSocketAddrs};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use url::Url;

use super::{setting, unique};

/// One test's own Postgres database.
pub struct TestDatabase {
    admin: Url,
    url: Url,
    name: String,
}

impl TestDatabase {
    /// A fresh, empty database; `None` when the suite runs on SQLite.
    pub fn create() -> Option<TestDatabase> {
        let admin = setting("BYTEPASS_TEST_DATABASE")?;
        let admin = Url::parse(&admin).expect("BYTEPASS_TEST_DATABASE is a URL");
        let name = unique("bytepass_");
        execute(&admin, &format!("CREATE DATABASE {name}"));
        let mut url = admin.clone();
        url.set_path(&name);
        Some(TestDatabase { admin, url, name })
    }

    /// The database's URL, with the TLS options of the server's URL.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The same database behind a proxy, without TLS, so that the proxy can read the statements.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        let mut url = self.url.clone();
        url.set_host(Some(&proxy.ip().to_string()))
            .expect("an address is a host");
        url.set_port(Some(proxy.port()))
            .expect("the URL has a host");
        url.set_query(Some("sslmode=disable"));
        url.into()
    }

    /// The address of the server: the upstream of a proxy.
    pub fn server(&self) -> SocketAddr {
        let host = self.url.host_str().expect("the URL has a host");
        (host, self.url.port().unwrap_or(5432))
            .to_socket_addrs()
            .expect("the host is known")
            .next()
            .expect("the host has an address")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        execute(
            &self.admin,
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
    }
}

fn execute(admin: &Url, sql: &str) {
    PgConnection::establish(admin.as_str())
        .expect("the test server answers")
        .batch_execute(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
