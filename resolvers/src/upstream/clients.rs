//! The HTTP clients: one for public addresses, whose resolver drops all others, and one for hosts that the operator listed.

use std::{io, sync::Arc, time::Duration};

use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::{Action, Attempt, Policy},
};

use super::{
    error::{UpstreamError, UpstreamErrorKind},
    guard::{GuardClass, private_address, public_only, refused, same_origin},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_REDIRECTS: usize = 5;

/// Connections are shared by all integrations of a guard class.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    public: Result<Client, String>,
    listed: Result<Client, String>,
    /// The same for sockets, which begin as HTTP/1.1.
    sockets: [Result<Client, String>; 2],
}

impl Clients {
    /// Builds both. A machine without CA certificates is told so when it calls, not when it starts.
    pub(super) fn new() -> Self {
        install_crypto_provider();
        Self { public: public(base), listed: listed(base), sockets: [public(for_sockets), listed(for_sockets)] }
    }

    pub(super) fn of(&self, class: GuardClass) -> Result<&Client, UpstreamError> {
        usable(match class {
            GuardClass::Public => &self.public,
            GuardClass::Listed => &self.listed,
        })
    }

    pub(super) fn of_sockets(&self, class: GuardClass) -> Result<&Client, UpstreamError> {
        let [public, listed] = &self.sockets;
        usable(match class {
            GuardClass::Public => public,
            GuardClass::Listed => listed,
        })
    }
}

fn usable(client: &Result<Client, String>) -> Result<&Client, UpstreamError> {
    client.as_ref().map_err(|message| UpstreamError::new(UpstreamErrorKind::Internal, message.clone()))
}

fn public(base: fn() -> ClientBuilder) -> Result<Client, String> {
    base().https_only(true).dns_resolver(Arc::new(PublicResolver)).build().map_err(|error| not_built(&error))
}

fn listed(base: fn() -> ClientBuilder) -> Result<Client, String> {
    base().build().or_else(|_| base().tls_certs_only([]).build()).map_err(|error| not_built(&error))
}

fn not_built(error: &reqwest::Error) -> String {
    format!("the HTTP client could not be built: {error}")
}

fn for_sockets() -> ClientBuilder {
    base().http1_only().pool_max_idle_per_host(0)
}

/// A client for an address of the operator's own, which is no provider's: the settings name it, so nothing guards it.
pub fn client_of_operator(timeout: Duration) -> reqwest::Result<Client> {
    install_crypto_provider();
    let client = || base().redirect(Policy::none()).timeout(timeout);
    client().build().or_else(|_| client().tls_certs_only([]).build())
}

/// Makes ring the process's TLS cryptography, unless one was chosen already. The gateway calls it first of all.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race against another thread is as good as winning it.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the only door out")]
fn base() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .referer(false)
        .redirect(Policy::custom(stay_at_home))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(90))
        .user_agent(concat!("mullion/", env!("CARGO_PKG_VERSION")))
}

/// Follows redirects at the same origin only: whatever was checked of the first URL holds for the next one too.
fn stay_at_home(attempt: Attempt<'_>) -> Action {
    let at_home = attempt.previous().last().is_some_and(|previous| same_origin(previous, attempt.url()));
    if !at_home {
        return attempt.error(refused("the provider redirected to another host"));
    }
    if attempt.previous().len() > MAX_REDIRECTS { attempt.stop() } else { attempt.follow() }
}

/// Resolves names and drops addresses that are not public.
struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public = public_only(found);
            if public.is_empty() {
                return Err(private_address().into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The meaning of a failed exchange, without its URL.
pub(super) fn told(error: reqwest::Error) -> UpstreamError {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut deepest = String::new();
    let mut is_local = false;
    while let Some(current) = cause {
        if let Some(known) = current.downcast_ref::<UpstreamError>() {
            return known.clone();
        }
        is_local |= current.downcast_ref::<io::Error>().is_some_and(is_local_failure);
        deepest = current.to_string();
        cause = current.source();
    }
    if is_local {
        tracing::error!(cause = deepest, "no connection to a provider can be opened here");
        return UpstreamError::new(UpstreamErrorKind::Internal, format!("no connection can be opened: {deepest}"));
    }
    if error.is_timeout() {
        return UpstreamError::new(UpstreamErrorKind::Timeout, "the provider did not answer in time");
    }
    UpstreamError::new(UpstreamErrorKind::Down, format!("the provider could not be reached: {deepest}"))
}

/// Whether this machine could not open a connection: no file, port or memory is left. The provider has nothing to do with that.
fn is_local_failure(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory) || is_out_of_files(error)
}

/// `EMFILE` and `ENFILE`, which have no kind of their own.
#[cfg(unix)]
fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| matches!(code, 23 | 24))
}

/// Elsewhere such a limit is not met.
#[cfg(not(unix))]
fn is_out_of_files(_: &io::Error) -> bool {
    false
}
