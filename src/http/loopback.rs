//! Without keys, only this machine is served.
//!
//! The listener is on a loopback address then, but a browser on this machine would carry requests of
//! any web page to it: directly (a cross-site request), or through a name of the attacker's that
//! resolves to 127.0.0.1 (DNS rebinding). So `Host` must say loopback, and whatever a browser says
//! about where a request comes from must not name another site.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};

use super::problem::{Code, Problem};
use super::state::Gateway;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what does not come from this machine, unless everybody is allowed.
pub(super) fn check(gateway: &Gateway, request: &Request) -> Result<(), Problem> {
    let is_guarded = gateway.callers.borrow().are_this_machine();
    if is_guarded {
        check_origin(request)
    } else {
        Ok(())
    }
}

fn check_origin(request: &Request) -> Result<(), Problem> {
    let refused = |detail| Err(Problem::new(Code::HostNotAllowed, detail));
    // There is one at the most, and none only where the target says it or in HTTP/1.0: see `framing`.
    let host = request.headers().get(header::HOST);
    if host.is_some_and(|host| !host.to_str().is_ok_and(is_loopback)) {
        return refused(
            "Host must be localhost or a loopback address: without keys, only this machine is served",
        );
    }
    // The absolute form of a request target overrules `Host` (RFC 9112, section 3.2.2).
    if let Some(authority) = request.uri().authority()
        && !is_loopback(authority.as_str())
    {
        return refused("the host of the request target must be a loopback address");
    }
    check_site(request.headers())
}

fn check_site(headers: &HeaderMap) -> Result<(), Problem> {
    let origins_are_loopback = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(is_loopback)
    });
    let fetched_here = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    if origins_are_loopback && fetched_here {
        return Ok(());
    }
    Err(Problem::new(
        Code::CrossSiteRequest,
        "a browser sent this request from another site",
    ))
}

/// Whether `host` or `host:port` names this machine.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port),
            None => return false,
        },
        None => match authority.find(':') {
            Some(at) => authority.split_at(at),
            None => (authority, ""),
        },
    };
    let port_is_fine = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if !port_is_fine {
        return false;
    }
    if authority.starts_with('[') {
        return host
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_canonical().is_loopback());
    }
    // What is no name of a host is nobody's, however it ends.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !host.bytes().all(is_name) {
        return false;
    }
    is_localhost(host)
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Browsers never ask the network for names below .localhost (RFC 6761, section 6.3).
fn is_localhost(host: &str) -> bool {
    const NAME: &str = "localhost";
    let above = host.len().checked_sub(NAME.len());
    let parts = above.and_then(|above| host.split_at_checked(above));
    parts.is_some_and(|(above, name)| {
        (above.is_empty() || above.ends_with('.')) && name.eq_ignore_ascii_case(NAME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for here in [
            "localhost",
            "LocalHost:8080",
            "app.localhost",
            "a.b.LOCALHOST:1",
            "127.0.0.1",
            "127.8.9.10:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "ocalhost",
            "127.0.0.1.example.com",
            "127.1",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "localhost:80@example.com",
            "localhost:x",
            "::1",
            "localhost/",
            "example.com/.localhost",
            "example.com\\.localhost",
            "user@.localhost",
            "ä.localhost",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
