//! Header tables: the values that AMQP 0-9-1 can carry and JSON can say.

/// A table of named values in the caller's order. Names are unique.
pub type Table = Vec<(Box<str>, HeaderValue)>;

/// One value of a header table.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderValue {
    /// `t`
    Bool(bool),
    /// `l`, signed 64-bit.
    Int(i64),
    /// `d`
    Double(f64),
    /// `S`, a long string.
    Text(Box<str>),
    /// `V`
    Null,
    /// `A`
    Array(Vec<HeaderValue>),
    /// `F`
    Table(Table),
}

impl HeaderValue {
    /// Bytes of this value on the wire, its type octet included (AMQP 0-9-1, section 4.2.1, with the
    /// type letters that RabbitMQ uses).
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Double(_) => 8,
            Self::Text(text) => 4 + text.len(),
            Self::Null => 0,
            Self::Array(items) => 4 + items.iter().map(Self::encoded_len).sum::<usize>(),
            Self::Table(table) => encoded_len(table),
        }
    }
}

/// Bytes of a whole table on the wire, its length field included.
#[must_use]
pub fn encoded_len(table: &Table) -> usize {
    4 + table
        .iter()
        .map(|(name, value)| 1 + name.len() + value.encoded_len())
        .sum::<usize>()
}
