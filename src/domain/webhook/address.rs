//! Which IP addresses are public.
//!
//! A URL comes from a caller, and the gateway stands where the caller may not: inside a network. So a
//! webhook goes to public addresses only, unless an allow-list says otherwise. The ranges are those of
//! IANA's special-purpose address registries (RFC 6890 and its updates), and for IPv6 everything outside
//! the one block that is given out for global unicast (`2000::/3`) is refused.
//!
//! Forms of IPv6 that carry an IPv4 address inside are judged by that address, since that is where the
//! packets end. A translator with a prefix of its own (RFC 6052, section 2.2) looks like any other
//! network and cannot be told from here.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reachable from everywhere: the only kind that a webhook may go to.
    Public,
    /// `0.0.0.0/8`, `::`: this host.
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918, unique local, and the long deprecated site-local addresses.
    Private,
    /// `100.64.0.0/10`, between a provider and its customers.
    Shared,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// To many at once.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// For examples in texts.
    Documentation,
    /// For tests of network devices.
    Benchmarking,
    /// A cloud's service that hands out its machines' credentials.
    Metadata,
    /// Everything else that is not given out for global use.
    Reserved,
}

impl Kind {
    /// The words for people, with their article: "… address".
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Public => "a public",
            Self::Unspecified => "an unspecified",
            Self::Loopback => "a loopback",
            Self::Private => "a private",
            Self::Shared => "a shared",
            Self::LinkLocal => "a link-local",
            Self::Multicast => "a multicast",
            Self::Broadcast => "a broadcast",
            Self::Documentation => "a documentation",
            Self::Benchmarking => "a benchmarking",
            Self::Metadata => "a metadata service",
            Self::Reserved => "a reserved",
        }
    }
}

/// What `address` is for.
#[must_use]
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// Metadata services at well-known addresses: most clouds, Alibaba, Azure's host, Oracle.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// AWS and Google.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn kind_v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address) {
        return Kind::Metadata;
    }
    match address.octets() {
        [0, ..] => Kind::Unspecified,
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        [100, 64..=127, ..] => Kind::Shared,
        [169, 254, ..] => Kind::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Documentation,
        [198, 18 | 19, ..] => Kind::Benchmarking,
        [224..=239, ..] => Kind::Multicast,
        [255, 255, 255, 255] => Kind::Broadcast,
        // Protocol assignments, the abandoned relays of 6to4, and what is kept for the future.
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Kind::Reserved,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    if METADATA_V6.contains(&address) {
        return Kind::Metadata;
    }
    if let Some(embedded) = embedded_v4(address) {
        return kind_v4(embedded);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        // The NAT64 prefix for use within a network (RFC 8215).
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Documentation,
        [0x2001, 2, 0, ..] => Kind::Benchmarking,
        // Protocol assignments (2001::/23), Teredo among them: nobody serves HTTP through it.
        [0x2001, 0..=0x1ff, ..] => Kind::Reserved,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Reserved,
    }
}

/// The IPv4 address that packets to `address` end at, for the forms that carry one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let two =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // IPv4-mapped, IPv4-translated, NAT64, 6to4, ISATAP.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [.., 0 | 0x200, 0x5efe, high, low] => two(high, low),
        // What was IPv4-compatible and Teredo, whose clients are hidden inverted, are public never;
        // an address in them only says what else they are.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            two(high, low).filter(|embedded| kind_v4(*embedded) != Kind::Public)
        }
        [0x2001, 0, .., high, low] => {
            two(!high, !low).filter(|embedded| kind_v4(*embedded) != Kind::Public)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind_of(text: &str) -> Kind {
        kind(
            text.parse()
                .unwrap_or_else(|_| panic!("{text} is an address")),
        )
    }

    /// A kind, its first and last address, and what is beside them: public ones, or "-" where
    /// something else begins.
    const RANGES: &str = "
        Unspecified   0.0.0.0       0.255.255.255         -               1.0.0.0
        Private       10.0.0.0      10.255.255.255        9.255.255.255   11.0.0.0
        Shared        100.64.0.0    100.127.255.255       100.63.255.255  100.128.0.0
        Loopback      127.0.0.0     127.255.255.255       126.255.255.255 128.0.0.0
        LinkLocal     169.254.0.0   169.254.255.255       169.253.255.255 169.255.0.0
        Private       172.16.0.0    172.31.255.255        172.15.255.255  172.32.0.0
        Reserved      192.0.0.0     192.0.0.255           191.255.255.255 192.0.1.0
        Documentation 192.0.2.0     192.0.2.255           192.0.1.255     192.0.3.0
        Reserved      192.88.99.0   192.88.99.255         192.88.98.255   192.88.100.0
        Private       192.168.0.0   192.168.255.255       192.167.255.255 192.169.0.0
        Benchmarking  198.18.0.0    198.19.255.255        198.17.255.255  198.20.0.0
        Documentation 198.51.100.0  198.51.100.255        198.51.99.255   198.51.101.0
        Documentation 203.0.113.0   203.0.113.255         203.0.112.255   203.0.114.0
        Multicast     224.0.0.0     239.255.255.255       223.255.255.255 -
        Reserved      240.0.0.0     255.255.255.254       -               -
        Broadcast     255.255.255.255 255.255.255.255     -               -
        Reserved      2001:1::      2001:1ff:ffff::       -               2001:200::
        Documentation 2001:db8::    2001:db8:ffff::1      2001:db7::      2001:db9::
        Documentation 3fff::        3fff:fff:ffff::       3ffe:ffff::     3fff:1000::
        Reserved      4000::        fbff:ffff::           3fff:ffff::     -
        Private       fc00::        fdff:ffff::ffff       -               -
        Reserved      fe00::        fe7f:ffff::           -               -
        LinkLocal     fe80::        febf:ffff::ffff       -               -
        Private       fec0::        feff:ffff::ffff       -               -
        Multicast     ff00::        ffff:ffff::ffff       -               -";

    #[test]
    fn each_special_range_ends_where_the_registry_ends_it() {
        for line in RANGES.lines().skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            let [expected, first, last, before, behind] = words[..] else {
                panic!("{line} has five words");
            };
            for inside in [first, last] {
                assert_eq!(format!("{:?}", kind_of(inside)), expected, "{inside}");
            }
            for outside in [before, behind] {
                if outside != "-" {
                    assert_eq!(kind_of(outside), Kind::Public, "{outside}");
                }
            }
        }
    }

    #[test]
    fn single_addresses_of_ipv6_are_known() {
        for (address, expected) in [
            ("::", Kind::Unspecified),
            ("::1", Kind::Loopback),
            ("::2", Kind::Reserved),
            ("100::1", Kind::Reserved),
            ("5f00::1", Kind::Reserved),
            ("2001:2::1", Kind::Benchmarking),
            ("64:ff9b:1::808:808", Kind::Private),
            ("64:ff9b:1:ffff::1", Kind::Private),
            ("64:ff9b:2::1", Kind::Reserved),
            ("2a00:1450:4001:830::200e", Kind::Public),
            ("2606:4700:4700::1111", Kind::Public),
        ] {
            assert_eq!(kind_of(address), expected, "{address}");
        }
    }

    #[test]
    fn metadata_services_are_known_wherever_they_are() {
        for address in [
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "::ffff:168.63.129.16",
        ] {
            assert_eq!(kind_of(address), Kind::Metadata, "{address}");
        }
    }

    #[test]
    fn an_address_within_an_address_is_found() {
        for form in [
            "::ffff:127.0.0.1",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::1",
            "2a00::5efe:127.0.0.1",
            "2a00::200:5efe:127.0.0.1",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
        ] {
            assert_eq!(kind_of(form), Kind::Loopback, "{form}");
        }
        for (form, expected) in [
            ("::ffff:8.8.8.8", Kind::Public),
            ("64:ff9b::8.8.8.8", Kind::Public),
            ("2002:808:808::1", Kind::Public),
            ("::8.8.8.8", Kind::Reserved),
            ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", Kind::Reserved),
        ] {
            assert_eq!(kind_of(form), expected, "{form}");
        }
    }

    proptest! {
        /// Nothing that the standard library calls special is ever called public.
        #[test]
        fn no_special_v4_address_is_public(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!special || kind_v4(address) != Kind::Public);
            for form in [0xffff_0000_0000_u128, 0xffff_0000_0000_0000, 0x64_ff9b << 96] {
                let wrapped = Ipv6Addr::from_bits(form | u128::from(bits));
                prop_assert_eq!(kind_v6(wrapped), kind_v4(address));
            }
        }

        #[test]
        fn only_global_unicast_and_translated_v6_addresses_are_public(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            let embedded = embedded_v4(address).is_some();
            let global = bits >> 125 == 1;
            prop_assert!(kind_v6(address) != Kind::Public || global || embedded);
        }
    }
}
