//! Rules for addresses. An IPv6 form of an IPv4 address is judged as that IPv4 address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that a call may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressRule {
    /// For targets that the operator configures, which may be on a private network: all but link-local addresses, the clouds' metadata
    /// services and addresses that don't identify a host.
    AnyButLinkLocal,
    /// For targets of others: only addresses that the internet routes.
    PublicOnly,
    /// Only this machine and private networks: for plain http that the operator allows.
    PrivateOnly,
    /// Only this machine.
    LoopbackOnly,
}

impl AddressRule {
    /// Every rule.
    pub(super) const ALL: [AddressRule; 4] = [
        AddressRule::AnyButLinkLocal,
        AddressRule::PublicOnly,
        AddressRule::PrivateOnly,
        AddressRule::LoopbackOnly,
    ];
}

/// Metadata services outside the link-local range (AWS over IPv6, Alibaba, Oracle).
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

impl AddressRule {
    /// Whether the rule allows a connection to this address.
    pub fn permits(self, address: IpAddr) -> bool {
        let address = normalized(address);
        match self {
            AddressRule::LoopbackOnly => address.is_loopback(),
            AddressRule::PublicOnly => match address {
                IpAddr::V4(v4) => is_public_v4(v4),
                IpAddr::V6(v6) => is_public_v6(v6),
            },
            AddressRule::PrivateOnly => {
                AddressRule::AnyButLinkLocal.permits(address) && is_private(address)
            }
            AddressRule::AnyButLinkLocal => match address {
                IpAddr::V4(v4) => {
                    let is_no_host = v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast();
                    !is_no_host && !v4.is_link_local() && !METADATA_V4.contains(&v4)
                }
                IpAddr::V6(v6) => {
                    let is_no_host = v6.is_unspecified() || v6.is_multicast();
                    !is_no_host && !v6.is_unicast_link_local() && v6 != METADATA_V6
                }
            },
        }
    }
}

/// Whether the internet routes it: it is in no range of IANA's special-purpose registry.
fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    )
}

/// Whether it is global unicast, without protocol assignments (Teredo, ORCHID, benchmarks) and documentation. 6to4 and NAT64 are
/// normalized before.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || matches!(v4.octets(), [100, 64..=127, ..])
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressRule::AnyButLinkLocal => "link-local and metadata addresses are refused",
            AddressRule::PublicOnly => "only public addresses are allowed",
            AddressRule::PrivateOnly => "only loopback and private addresses are allowed",
            AddressRule::LoopbackOnly => "only loopback is allowed",
        })
    }
}

/// The address that a packet reaches: the IPv4 address in a mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`), NAT64
/// (`64:ff9b::a.b.c.d`) or 6to4 (`2002:ab:cd::`) address.
fn normalized(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let segments = v6.segments();
    let from = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] => from(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => from(high, low),
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => from(high, low),
        [0x2002, high, low, ..] => from(high, low),
        _ => address,
    }
}
