//! Where a webhook goes: the rules for its URL.
//!
//! The URL is read once, as the WHATWG URL standard says, and what was read is what is checked and
//! connected to. So an address in any spelling (`0x7f.1`, `017700000001`, `2130706433`) is the address,
//! and there is no second reader to disagree.

use core::net::IpAddr;
use std::fmt;

use super::address::Kind;
use super::allow_list::AllowList;

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 2048;

/// A URL that a webhook may be sent to, as far as can be told without resolving its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Whether through TLS.
    pub tls: bool,
    /// Where to.
    pub host: Host,
    /// The port, that of the scheme if none was given.
    pub port: u16,
    /// For the request line; begins with a slash.
    pub path_and_query: Box<str>,
}

/// A host as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name in lower case and ASCII, to be resolved.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

/// Why a URL is none to send to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Longer than [`URL_BYTES_MAX`].
    #[error("is {0} bytes long, at most {URL_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Another scheme, or none.
    #[error("is no absolute URL that begins with http:// or https://")]
    Scheme,
    /// Not a URL.
    #[error("is no URL: {0}")]
    Syntax(String),
    /// A name or password before the host.
    #[error("has a user name or password before the host, which is not allowed")]
    UserInfo,
    /// Something behind `#`.
    #[error("has a fragment (#), which is never sent")]
    Fragment,
    /// Port 0.
    #[error("has the port 0, which nobody listens on")]
    Port,
    /// Not reachable for everybody.
    #[error("leads to {0}, {kind} address, which is not allowed", kind = .1.in_words())]
    NotPublic(Host, Kind),
}

impl Target {
    /// Reads a URL and applies every rule that needs no network.
    ///
    /// # Errors
    /// The first rule that it breaks, as the end of a sentence about the URL.
    pub fn parse(text: &str, allow: &AllowList) -> Result<Self, InvalidTarget> {
        let url = read(text)?;
        let host = match url.host() {
            Some(url::Host::Ipv4(address)) => Host::Address(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Host::Address(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) if !name.trim_end_matches('.').is_empty() => {
                Host::Name(name.into())
            }
            Some(url::Host::Domain(_)) | None => {
                return Err(InvalidTarget::Syntax("the host is empty".into()));
            }
        };
        if let Err(kind) = host.check(allow) {
            return Err(InvalidTarget::NotPublic(host, kind));
        }
        let port = url.port_or_known_default().ok_or(InvalidTarget::Scheme)?;
        if port == 0 {
            return Err(InvalidTarget::Port);
        }
        Ok(Self {
            tls: url.scheme() == "https",
            host,
            port,
            path_and_query: url[url::Position::BeforePath..url::Position::AfterQuery].into(),
        })
    }

    /// The value of the header `Host`: without the port that the scheme has anyway.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == if self.tls { 443 } else { 80 } {
            return self.host.to_string();
        }
        format!("{}:{}", self.host, self.port)
    }
}

impl Host {
    /// What can be told without resolving: names for this very host are known to lead to it.
    fn check(&self, allow: &AllowList) -> Result<(), Kind> {
        match self {
            Self::Address(address) => allow.check(None, *address),
            Self::Name(name) => {
                let bare = name.strip_suffix('.').unwrap_or(name);
                let own = bare == "localhost" || bare.ends_with(".localhost");
                let loopback = IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);
                if own {
                    allow.check(Some(name), loopback)
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl fmt::Display for Host {
    /// As in a URL, with brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Reads a URL. What browsers mend (spaces, missing slashes, backslashes) is a fault here: nobody
/// writes it on purpose but who wants to be misread.
fn read(text: &str) -> Result<url::Url, InvalidTarget> {
    if text.len() > URL_BYTES_MAX {
        return Err(InvalidTarget::TooLong(text.len()));
    }
    let (scheme, rest) = text.split_once("://").ok_or(InvalidTarget::Scheme)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(InvalidTarget::Scheme);
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(InvalidTarget::Syntax(
            "white space, control characters and backslashes must be percent-encoded".into(),
        ));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.is_empty() {
        return Err(InvalidTarget::Syntax("the host is empty".into()));
    }
    if authority.contains('@') {
        return Err(InvalidTarget::UserInfo);
    }
    let url = url::Url::parse(text).map_err(|error| InvalidTarget::Syntax(error.to_string()))?;
    if url.fragment().is_some() {
        return Err(InvalidTarget::Fragment);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Target, InvalidTarget> {
        Target::parse(text, &AllowList::default())
    }

    #[test]
    fn a_url_is_taken_apart() {
        let target = parse("https://Hooks.Example/in/a%20b?x=1&y=%2F").expect("a URL");
        assert_eq!(target.host, Host::Name("hooks.example".into()));
        assert!(target.tls && target.port == 443);
        assert_eq!(&*target.path_and_query, "/in/a%20b?x=1&y=%2F");
        assert_eq!(target.authority(), "hooks.example");
        let target = parse("HTTP://[2606:4700::1111]:8080?q").expect("a URL");
        assert!(!target.tls);
        assert_eq!(&*target.path_and_query, "/?q");
        assert_eq!(target.authority(), "[2606:4700::1111]:8080");
        assert_eq!(
            parse("http://a.example:80/").expect("a URL").authority(),
            "a.example"
        );
        assert_eq!(
            parse("http://a.example:443/").expect("a URL").authority(),
            "a.example:443"
        );
        let name = parse("http://bücher.example/").expect("a URL").host;
        assert_eq!(name, Host::Name("xn--bcher-kva.example".into()));
    }

    #[test]
    fn an_address_is_found_in_any_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0X7F.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "2130706433",
            "0x7f000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[0:0::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "%6cocalhost",
            "ｌocalhost",
        ] {
            for url in [format!("http://{host}/"), format!("https://{host}:8443?x")] {
                let refused = parse(&url).expect_err(&url);
                assert!(
                    matches!(refused, InvalidTarget::NotPublic(_, Kind::Loopback)),
                    "{url}: {refused}"
                );
            }
        }
        for host in ["0", "0.0.0.0", "[::]"] {
            let refused = parse(&format!("http://{host}/")).expect_err(host);
            assert!(
                matches!(refused, InvalidTarget::NotPublic(_, Kind::Unspecified)),
                "{host}"
            );
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_its_reason() {
        use InvalidTarget as I;
        for (text, expected) in [
            ("", I::Scheme),
            ("a.example", I::Scheme),
            ("//a.example/", I::Scheme),
            ("/path", I::Scheme),
            ("http:a.example", I::Scheme),
            ("http:/a.example", I::Scheme),
            ("ftp://a.example/", I::Scheme),
            ("file:///etc/passwd", I::Scheme),
            (" http://a.example/", I::Scheme),
            ("https://me@a.example/", I::UserInfo),
            ("https://me:secret@a.example/", I::UserInfo),
            ("https://@a.example/", I::UserInfo),
            ("https://8.8.8.8:80@127.0.0.1/", I::UserInfo),
            ("https://a.example/#top", I::Fragment),
            ("https://a.example/#", I::Fragment),
            ("https://a.example:0/", I::Port),
        ] {
            assert_eq!(parse(text), Err(expected), "{text:?}");
        }
        for text in [
            "http://",
            "http:///a.example/",
            "http://./",
            "http://:80/",
            "http://a.example:99999/",
            "http://a b/",
            "http://a.example/\t",
            "http://a.example/ ",
            "http://a.example\\@b/",
            "http://[::1",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://a.example:x/",
            "http://a\0b/",
        ] {
            let refused = parse(text).expect_err(text);
            assert!(matches!(refused, I::Syntax(_)), "{text:?}: {refused}");
        }
    }

    #[test]
    fn a_url_has_2048_bytes_at_most() {
        let url = format!("https://a.example/{}", "x".repeat(2048 - 18));
        assert!(parse(&url).is_ok());
        assert_eq!(parse(&format!("{url}x")), Err(InvalidTarget::TooLong(2049)));
    }

    #[test]
    fn the_allow_list_opens_what_it_names() {
        let allow: AllowList = "127.0.0.0/8,localhost".parse().expect("a list");
        for url in [
            "http://127.0.0.1:9000/",
            "http://0x7f.1/",
            "http://localhost./",
        ] {
            assert!(Target::parse(url, &allow).is_ok(), "{url}");
        }
        assert!(Target::parse("http://[::1]/", &allow).is_err());
        assert!(Target::parse("http://a.localhost/", &"::1".parse().expect("a list")).is_err());
    }

    #[test]
    fn a_refusal_says_where_the_url_leads() {
        let refused = parse("http://0x7f.1/").expect_err("loopback").to_string();
        assert_eq!(
            refused,
            "leads to 127.0.0.1, a loopback address, which is not allowed"
        );
        let refused = parse("http://0.0.0.0/")
            .expect_err("unspecified")
            .to_string();
        assert_eq!(
            refused,
            "leads to 0.0.0.0, an unspecified address, which is not allowed"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_leads_to_a_public_address_or_a_name(text in "(https?://)?[0-9a-fx.:\\[\\]%/@?#-]{0,30}") {
            if let Ok(target) = parse(&text) {
                prop_assert!(target.path_and_query.starts_with('/'));
                if let Host::Address(address) = target.host {
                    prop_assert_eq!(super::super::address::kind(address), Kind::Public);
                }
            }
        }
    }
}
