//! Which messages must keep their order.

use super::message::Draft;

/// What messages are kept in order by: the exchange and the ordering key (contract, section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The caller's ordering key, or the routing key.
    pub key: &'a str,
}

impl<'a> OrderKey<'a> {
    /// The key of a message.
    #[must_use]
    pub fn of(draft: &'a Draft) -> Self {
        Self {
            exchange: &draft.exchange,
            key: draft.ordering_key.as_deref().unwrap_or(&draft.routing_key),
        }
    }

    /// The lane, below `lanes`, that all messages of this key take. The same in every process, so
    /// that a restart does not mix up the order.
    #[must_use]
    pub fn lane(self, lanes: usize) -> usize {
        // FNV-1a (64 bits), written out because no library promises its hash for ever. 0xFF is no byte
        // of UTF-8, so the two parts cannot be mixed up.
        let bytes = self.exchange.bytes().chain([0xFF]).chain(self.key.bytes());
        let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let [.., high, low, _, _] = (hash ^ (hash >> 32)).to_be_bytes();
        usize::from(u16::from_be_bytes([high, low])) % lanes.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(exchange: &str, key: &str) -> usize {
        OrderKey { exchange, key }.lane(4)
    }

    #[test]
    fn a_key_has_the_same_lane_in_every_version() {
        let keys = [
            ("", ""),
            ("log.exchange", "info.log.key"),
            ("a", "b"),
            ("ab", ""),
            ("", "ab"),
        ];
        let lanes: Vec<_> = keys
            .iter()
            .map(|(exchange, key)| lane(exchange, key))
            .collect();
        assert_eq!(lanes, LANES_FOR_EVER);
    }

    #[test]
    fn keys_are_spread_over_all_lanes() {
        let mut count = [0; 4];
        for number in 0..4000 {
            count[lane("exchange", &format!("key.{number}"))] += 1;
        }
        assert!(
            count.iter().all(|count| (800..1200).contains(count)),
            "{count:?}"
        );
    }

    /// Changing these mixes up the order of what is stored.
    const LANES_FOR_EVER: [usize; 5] = [2, 3, 3, 2, 2];
}
