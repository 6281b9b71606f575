//! What an option is: its name, what it may be, and how it is read and shown.
//!
//! An option is written once, in [`super::options`]. It is a flag, an environment variable and a key of
//! the file under one name, so that the three cannot differ; one that holds secrets can also be given as
//! the path of a file, by the same name with `_file` behind it.

use std::fmt;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// What an option may be.
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A text with secrets in it, and how it looks without them.
    Secret(fn(&str) -> String),
    /// The path of a file with the text of the option of this key.
    SecretFile(&'static str),
    /// `true` or `false`.
    Switch,
    /// A number.
    Whole(RangeInclusive<u64>),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// What an option is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Switch(bool),
    Whole(u64),
}

/// An option as it is described: everything but the value that it is given.
pub(super) struct Described {
    /// The key of the file.
    pub(super) key: &'static str,
    /// The flag without its dashes.
    pub(super) flag: String,
    /// The environment variable.
    pub(super) variable: String,
    /// What it is for.
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Value,
}

impl Described {
    pub(super) fn new(key: &'static str, help: &'static str, kind: Kind, default: Value) -> Self {
        Self {
            key,
            flag: key.replace('_', "-"),
            variable: format!("AMQPOST_{}", key.to_uppercase()),
            help,
            kind,
            default,
        }
    }

    /// The way to give this option by a file of its own, if it holds secrets.
    pub(super) fn companion(&self, key: &'static str) -> Option<Self> {
        matches!(self.kind, Kind::Secret(_)).then(|| {
            let kind = Kind::SecretFile(self.key);
            Self::new(
                key,
                " The same, from a file.",
                kind,
                Value::Text(String::new()),
            )
        })
    }

    /// The key of the option whose value this gives.
    pub(super) fn target(&self) -> &'static str {
        match self.kind {
            Kind::SecretFile(target) => target,
            _ => self.key,
        }
    }

    /// Whether it names a file with another option's value.
    pub(super) fn is_companion(&self) -> bool {
        matches!(self.kind, Kind::SecretFile(_))
    }

    /// Whether its value must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_))
    }
}

impl Kind {
    /// The same, where only numbers of `range` are allowed.
    pub(super) fn within(self, range: impl RangeBounds<u64>) -> Self {
        let Self::Whole(possible) = self else {
            return self;
        };
        let start = match range.start_bound() {
            Bound::Included(least) => *least,
            Bound::Excluded(below) => below.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(most) => *most,
            Bound::Excluded(above) => above.saturating_sub(1),
            Bound::Unbounded => u64::MAX,
        };
        Self::Whole(start.max(*possible.start())..=end.min(*possible.end()))
    }

    /// The same, for a text with secrets in it that looks as `masked` says when it is shown.
    pub(super) fn secret(self, masked: fn(&str) -> String) -> Self {
        match self {
            Self::Text => Self::Secret(masked),
            other => other,
        }
    }

    /// The value that a flag or a variable gives.
    ///
    /// # Errors
    /// What is allowed, and what was there unless that may be a secret.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Text | Self::Secret(_) | Self::SecretFile(_) | Self::OneOf(_) => {
                Some(Value::Text(text.to_owned()))
            }
            Self::Switch => text.parse().ok().map(Value::Switch),
            Self::Whole(_) => text.parse().ok().map(Value::Whole),
        };
        value
            .filter(|value| self.allows(value))
            .ok_or_else(|| format!("must be {self}, and is {text:?}"))
    }

    /// Whether `value` is one that is allowed.
    pub(super) fn allows(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text | Self::Secret(_) | Self::SecretFile(_), Value::Text(_))
            | (Self::Switch, Value::Switch(_)) => true,
            (Self::OneOf(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Self::Whole(range), Value::Whole(number)) => range.contains(number),
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    /// What is allowed, as in "must be …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text | Self::Secret(_) => f.write_str("a text"),
            Self::SecretFile(_) => f.write_str("the path of a file"),
            Self::Switch => f.write_str("true or false"),
            Self::Whole(range) if *range.end() >= LARGEST => {
                write!(f, "a whole number of at least {}", range.start())
            }
            Self::Whole(range) => {
                write!(
                    f,
                    "a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            }
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
        }
    }
}

/// The largest number that a TOML file can hold.
const LARGEST: u64 = i64::MAX as u64;

impl fmt::Display for Value {
    /// As TOML writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => toml::Value::from(text.as_str()).fmt(f),
            Self::Switch(switch) => switch.fmt(f),
            Self::Whole(number) => number.fmt(f),
        }
    }
}

/// A type that options have.
pub(super) trait Typed: Sized {
    /// What such an option may be, unless its own rule says less.
    fn kind() -> Kind;

    fn into_value(self) -> Value;

    /// The other way, when `value` is of this type.
    fn of(value: &Value) -> Option<Self>;
}

impl Typed for String {
    fn kind() -> Kind {
        Kind::Text
    }

    fn into_value(self) -> Value {
        Value::Text(self)
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl Typed for bool {
    fn kind() -> Kind {
        Kind::Switch
    }

    fn into_value(self) -> Value {
        Value::Switch(self)
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Switch(switch) => Some(*switch),
            _ => None,
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ty)*) => {$(
        impl Typed for $type {
            fn kind() -> Kind {
                Kind::Whole(0..=u64::try_from(<$type>::MAX).unwrap_or(LARGEST).min(LARGEST))
            }

            fn into_value(self) -> Value {
                // No option has a default that is larger.
                Value::Whole(u64::try_from(self).unwrap_or(LARGEST))
            }

            fn of(value: &Value) -> Option<Self> {
                match value {
                    Value::Whole(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

whole_numbers!(u16 u32 u64 usize);
