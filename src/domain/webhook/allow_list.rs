//! What may be sent to although it is not public.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use super::address::{Kind, kind};

/// Entries of one list.
const ENTRIES_MAX: usize = 1000;

/// Hosts and networks that webhooks may go to besides public addresses. Nothing is, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    networks: Vec<Network>,
    /// In lower case, as DNS sees them, without a dot at the end.
    hosts: Vec<Box<str>>,
}

/// The addresses whose first `length` bits are those of `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    length: u8,
}

/// Why a text is no allow-list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllowList {
    /// Nothing between two commas.
    #[error("there is an empty entry: entries are separated by single commas")]
    Empty,
    /// Before the slash there is no address.
    #[error("{0:?} is no network: an IP address comes before the slash")]
    Address(String),
    /// Behind the slash there is no length that fits.
    #[error("{entry:?} is no network: the length is a number from 0 to {length_max}")]
    Length {
        /// The entry.
        entry: String,
        /// 32 or 128.
        length_max: u8,
    },
    /// An address within the network instead of its first.
    #[error("{entry:?} is no network: it has bits behind its length; did you mean {meant}?")]
    HostBits {
        /// The entry.
        entry: String,
        /// The network that the address is in.
        meant: String,
    },
    /// Neither a network nor a name.
    #[error("{0:?} is neither a host name, nor an IP address, nor a network such as 10.0.0.0/8")]
    Host(String),
    /// Too long a list.
    #[error("there are more than {ENTRIES_MAX} entries")]
    TooMany,
}

impl AllowList {
    /// Whether `address` may be sent to, when it stands in the URL or `host` (the URL's) was resolved
    /// to it.
    ///
    /// # Errors
    /// What kind of address it is that may not be sent to.
    pub fn check(&self, host: Option<&str>, address: IpAddr) -> Result<(), Kind> {
        let kind = kind(address);
        let allowed = kind == Kind::Public
            || host.is_some_and(|host| self.names(host))
            || self.networks.iter().any(|network| network.has(address));
        if allowed { Ok(()) } else { Err(kind) }
    }

    /// Whether `host` stands in the list by its name.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.hosts
            .iter()
            .any(|named| named.eq_ignore_ascii_case(host))
    }
}

impl Network {
    fn has(self, address: IpAddr) -> bool {
        // A socket for the mapped form of an IPv4 address reaches that address.
        let address = address.to_canonical();
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let behind = 32 - u32::from(self.length);
                (first.to_bits() ^ address.to_bits())
                    .checked_shr(behind)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let behind = 128 - u32::from(self.length);
                (first.to_bits() ^ address.to_bits())
                    .checked_shr(behind)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// The network of this length that `address` is in.
    fn around(address: IpAddr, length: u8) -> Self {
        let first = match address {
            IpAddr::V4(address) => {
                let behind = 32 - u32::from(length);
                let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let behind = 128 - u32::from(length);
                let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        };
        Self { first, length }
    }

    fn parse(entry: &str, address: &str, length: &str) -> Result<Self, InvalidAllowList> {
        let address: IpAddr = address
            .parse()
            .map_err(|_| InvalidAllowList::Address(entry.to_owned()))?;
        let length_max = if address.is_ipv4() { 32 } else { 128 };
        let plain = length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length
            .parse()
            .ok()
            .filter(|length| plain && *length <= length_max)
            .ok_or_else(|| InvalidAllowList::Length {
                entry: entry.to_owned(),
                length_max,
            })?;
        let network = Self::around(address, length);
        if network.first != address {
            return Err(InvalidAllowList::HostBits {
                entry: entry.to_owned(),
                meant: network.to_string(),
            });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl FromStr for AllowList {
    type Err = InvalidAllowList;

    /// Host names, IP addresses and networks, separated by commas. An empty text is an empty list.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::default();
        if text.trim().is_empty() {
            return Ok(list);
        }
        for (at, entry) in text.split(',').map(str::trim).enumerate() {
            if at == ENTRIES_MAX {
                return Err(InvalidAllowList::TooMany);
            }
            if entry.is_empty() {
                return Err(InvalidAllowList::Empty);
            }
            if let Some((address, length)) = entry.split_once('/') {
                list.networks.push(Network::parse(entry, address, length)?);
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                let length = if address.is_ipv4() { 32 } else { 128 };
                list.networks.push(Network::around(address, length));
            } else {
                list.hosts.push(host(entry)?);
            }
        }
        Ok(list)
    }
}

/// A host name as URLs come to have it.
fn host(entry: &str) -> Result<Box<str>, InvalidAllowList> {
    let invalid = || InvalidAllowList::Host(entry.to_owned());
    match url::Host::parse(entry) {
        Ok(url::Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(invalid());
            }
            Ok(name.into())
        }
        // An odd spelling of an address: the plain one says what is meant.
        Ok(_) | Err(_) => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> AllowList {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_public_addresses_pass_an_empty_list() {
        let none = list(" ");
        assert_eq!(none, AllowList::default());
        assert_eq!(none.check(None, address("9.9.9.9")), Ok(()));
        assert_eq!(
            none.check(Some("localhost"), address("::1")),
            Err(Kind::Loopback)
        );
    }

    #[test]
    fn a_network_opens_itself_and_nothing_beside() {
        let list = list("127.0.0.0/8, 10.1.0.0/16,fd00:1::/32,192.168.7.9");
        for inside in [
            "127.0.0.1",
            "127.255.255.255",
            "10.1.255.1",
            "fd00:1:ffff::1",
            "192.168.7.9",
        ] {
            assert_eq!(list.check(None, address(inside)), Ok(()), "{inside}");
        }
        for outside in [
            "10.2.0.0",
            "10.0.255.255",
            "fd00:2::1",
            "192.168.7.8",
            "::1",
            "169.254.169.254",
        ] {
            assert!(list.check(None, address(outside)).is_err(), "{outside}");
        }
    }

    #[test]
    fn a_mapped_address_is_in_the_network_of_the_address_that_it_maps() {
        let list = list("10.0.0.0/8");
        assert_eq!(list.check(None, address("::ffff:10.1.2.3")), Ok(()));
        // Where a translator's packets end is not for this list to say.
        assert_eq!(
            list.check(None, address("64:ff9b::10.1.2.3")),
            Err(Kind::Private)
        );
    }

    #[test]
    fn a_host_opens_whatever_its_name_is_resolved_to() {
        let list = list("Hooks.Internal, bücher.example.");
        let private = address("10.0.0.1");
        for host in [
            "hooks.internal",
            "HOOKS.internal",
            "hooks.internal.",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(list.check(Some(host), private), Ok(()), "{host}");
        }
        for host in [
            "internal",
            "a.hooks.internal",
            "hooks.internal.example",
            "xhooks.internal",
        ] {
            assert_eq!(
                list.check(Some(host), private),
                Err(Kind::Private),
                "{host}"
            );
        }
        assert_eq!(list.check(None, private), Err(Kind::Private));
    }

    #[test]
    fn the_longest_and_the_shortest_networks_are_networks() {
        assert_eq!(list("0.0.0.0/0").check(None, address("127.0.0.1")), Ok(()));
        assert_eq!(list("::/0").check(None, address("::1")), Ok(()));
        assert!(list("::/0").check(None, address("127.0.0.1")).is_err());
        assert!(
            list("10.0.0.1/32")
                .check(None, address("10.0.0.2"))
                .is_err()
        );
        assert!(list("::1/128").check(None, address("::2")).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said_exactly() {
        for (text, says) in [
            ("10.0.0.0/8,,a", "empty entry"),
            ("a,", "empty entry"),
            (
                "hooks/8",
                r#""hooks/8" is no network: an IP address comes before"#,
            ),
            ("10.0.0.0/33", "a number from 0 to 32"),
            ("fd00::/129", "a number from 0 to 128"),
            ("10.0.0.0/", "a number from 0 to 32"),
            ("10.0.0.0/+8", "a number from 0 to 32"),
            ("10.1.2.3/8", "did you mean 10.0.0.0/8?"),
            ("fd00::1/64", "did you mean fd00::/64?"),
            ("http://a", r#""http://a" is no network"#),
            ("a b", r#""a b" is neither"#),
            ("a:80", r#""a:80" is neither"#),
            ("0x7f.1", r#""0x7f.1" is neither"#),
            ("*.internal", r#""*.internal" is neither"#),
        ] {
            let error = text.parse::<AllowList>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let long = vec!["a"; 1001].join(",");
        assert_eq!(long.parse::<AllowList>(), Err(InvalidAllowList::TooMany));
        assert!(long[2..].parse::<AllowList>().is_ok());
    }

    proptest! {
        #[test]
        fn a_network_has_exactly_the_addresses_with_its_bits(first: u32, other: u32, length in 0..=32_u8) {
            let network = Network::around(IpAddr::V4(first.into()), length);
            let same = (0..length).all(|bit| (first ^ other) >> (31 - bit) & 1 == 0);
            prop_assert_eq!(network.has(IpAddr::V4(other.into())), same);
            let written = network.to_string();
            let read = Network::parse(&written, &network.first.to_string(), &length.to_string());
            prop_assert_eq!(read, Ok(network));
        }
    }
}
