//! Which addresses a provider's base URL may lead to: a tenant's base URL must not reach into the network that the gateway runs in.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::RwLock;
use url::{Host, Url};

use super::error::{UpstreamError, UpstreamErrorKind};

/// Hosts that are exempt (`upstream.allow`): `ghe.example.com`, `127.0.0.1:4001`, `[::1]:4001`.
#[derive(Debug, Clone, Default)]
pub struct AddressGuard {
    /// Shared by all clones: the list can change while the process runs.
    allowed: Arc<RwLock<BTreeSet<String>>>,
}

/// How a URL may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuardClass {
    /// https only, public addresses only, after the resolution of names too.
    Public,
    /// Listed: any address, http too.
    Listed,
}

impl AddressGuard {
    /// A guard with these exemptions, each `host` (any port) or `host:port`.
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(allow: I) -> Self {
        let guard = Self::default();
        guard.set_allowed(allow);
        guard
    }

    /// Replaces the exemptions; each call from now on is checked against the new ones.
    pub fn set_allowed<I: IntoIterator<Item = S>, S: AsRef<str>>(&self, allow: I) {
        *self.allowed.write() = allow.into_iter().map(|entry| entry.as_ref().trim().to_ascii_lowercase()).collect();
    }

    /// Checks a URL as far as it can be told without resolving names. Use it on a base URL before it is stored, too.
    pub fn check(&self, url: &Url) -> Result<GuardClass, UpstreamError> {
        self.check_named(url, ("the base URL", "https"))
    }

    /// The same of a URL that people know by this name, and with this scheme.
    pub(super) fn check_named(&self, url: &Url, (name, scheme): (&str, &str)) -> Result<GuardClass, UpstreamError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(&format!("{name} must begin with {scheme}://")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(&format!("{name} must not hold a user name or a password")));
        }
        let Some(host) = url.host() else { return Err(refused(&format!("{name} names no host"))) };
        if self.lists(url) {
            return Ok(GuardClass::Listed);
        }
        if url.scheme() != "https" {
            let message = format!("{name} must begin with {scheme}:// (or its host be listed in upstream.allow)");
            return Err(refused(&message));
        }
        let public = match host {
            Host::Ipv4(address) => is_public_v4(address),
            Host::Ipv6(address) => is_public_v6(address),
            Host::Domain(name) => !is_local_name(name),
        };
        if public { Ok(GuardClass::Public) } else { Err(private_address()) }
    }

    fn lists(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        let allowed = self.allowed.read();
        allowed.contains(host) || with_port.is_some_and(|text| allowed.contains(&text))
    }
}

/// Names that never leave the machine or its network, whatever a resolver says.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || [".localhost", ".local", ".internal"].iter().any(|suffix| name.ends_with(suffix))
}

/// Keeps the public ones of the addresses that a name resolved to.
pub(super) fn public_only(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    addresses.filter(|address| is_public(address.ip())).collect()
}

/// Whether an address is on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _) // carrier-grade NAT
            | (169, 254, _) // link-local, cloud metadata
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [a, b, ..] = address.segments();
    // Global unicast is 2000::/3; out of it: protocol assignments with Teredo, documentation, 6to4.
    let global = (0x2000..=0x3fff).contains(&a);
    let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    global && !special
}

pub(super) fn private_address() -> UpstreamError {
    refused("the address is not on the public internet; list its host in upstream.allow to permit it")
}

pub(super) fn refused(message: &str) -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::AddressRefused, message)
}

/// Whether two URLs have scheme, host and port in common.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::{AddressGuard, GuardClass, same_origin};

    #[test]
    fn only_https_to_public_hosts_passes_without_a_listing() {
        let guard = AddressGuard::default();
        for (url, passes) in [
            ("https://api.github.com/", true),
            ("https://8.8.8.8/", true),
            ("https://[2606:4700::1111]/", true),
            ("http://api.github.com/", false),
            ("ftp://api.github.com/", false),
            ("https://user:pw@api.github.com/", false),
            ("https://localhost/", false),
            ("https://LOCALHOST./", false),
            ("https://metadata.google.internal/", false),
            ("https://127.0.0.1/", false),
            ("https://127.1/", false),
            ("https://2130706433/", false),
            ("https://0x7f000001/", false),
            ("https://0177.0.0.1/", false),
            ("https://0/", false),
            ("https://10.1.2.3/", false),
            ("https://172.16.0.1/", false),
            ("https://172.32.0.1/", true),
            ("https://192.168.0.1/", false),
            ("https://169.254.169.254/", false),
            ("https://100.64.0.1/", false),
            ("https://100.128.0.1/", true),
            ("https://198.18.0.1/", false),
            ("https://224.0.0.1/", false),
            ("https://255.255.255.255/", false),
            ("https://[::1]/", false),
            ("https://[::]/", false),
            ("https://[::ffff:127.0.0.1]/", false),
            ("https://[::ffff:a9fe:a9fe]/", false),
            ("https://[::127.0.0.1]/", false),
            ("https://[fe80::1]/", false),
            ("https://[fd00:ec2::254]/", false),
            ("https://[fc00::1]/", false),
            ("https://[ff02::1]/", false),
            ("https://[64:ff9b::7f00:1]/", false),
            ("https://[2002:7f00:1::]/", false),
            ("https://[2001:0:7f00:1::]/", false),
        ] {
            let verdict = guard.check(&url.parse().expect("a URL"));
            assert_eq!(verdict.is_ok(), passes, "{url}: {verdict:?}");
        }
    }

    #[test]
    fn a_listed_host_passes_with_http_and_only_at_its_port() {
        let guard = AddressGuard::new(["127.0.0.1:4001", "GHE.corp.example", "[::1]:4001"]);
        for (url, class) in [
            ("http://127.0.0.1:4001/github", Some(GuardClass::Listed)),
            ("http://127.0.0.1:4002/github", None),
            ("http://ghe.corp.example/api/v3", Some(GuardClass::Listed)),
            ("https://ghe.corp.example:8443/api/v3", Some(GuardClass::Listed)),
            ("http://[::1]:4001/", Some(GuardClass::Listed)),
            ("https://api.github.com/", Some(GuardClass::Public)),
        ] {
            assert_eq!(guard.check(&url.parse().expect("a URL")).ok(), class, "{url}");
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let url = |text: &str| text.parse().expect("a URL");
        assert!(same_origin(&url("https://a.example/x"), &url("https://a.example:443/y")));
        for other in ["http://a.example/", "https://b.example/", "https://a.example:444/"] {
            assert!(!same_origin(&url("https://a.example/"), &url(other)), "{other}");
        }
    }
}
