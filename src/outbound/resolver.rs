//! Resolves names and checks their addresses. The HTTP client connects to these addresses only.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::AddressRule;

/// The addresses of a name.
pub type LookupAnswer = BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// A resolver.
pub type Lookup = Arc<dyn Fn(String) -> LookupAnswer + Send + Sync>;

/// The rule refuses an address.
#[derive(Debug, thiserror::Error)]
#[error("the address is refused")]
pub(super) struct Refused;

pub(super) struct CheckedResolver {
    lookup: Lookup,
    rule: AddressRule,
}

impl CheckedResolver {
    pub(super) fn new(lookup: Lookup, rule: AddressRule) -> CheckedResolver {
        CheckedResolver { lookup, rule }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = (self.lookup)(name.as_str().to_owned());
        let rule = self.rule;
        Box::pin(async move {
            let addresses = answer.await?;
            // One refused address refuses the name: such a mix is an attack or a mistake.
            if !addresses.iter().all(|address| rule.permits(*address)) {
                return Err(Refused.into());
            }
            let addresses = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// The system's resolver.
pub(super) fn system_lookup(name: String) -> LookupAnswer {
    Box::pin(async move {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}
