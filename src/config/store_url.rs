//! Where messages are kept.

use std::path::PathBuf;

/// A store by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// Nowhere but in memory.
    Memory,
    /// In one file and its companions.
    Sqlite(PathBuf),
}

impl StoreUrl {
    /// Reads an address; an empty one is the file in the working directory.
    ///
    /// # Errors
    /// One sentence that says what is possible.
    pub fn parse(url: &str) -> Result<Self, String> {
        match url {
            "" => Ok(Self::Sqlite("amqpost-data/amqpost.db".into())),
            "memory:" => Ok(Self::Memory),
            url => match url.strip_prefix("sqlite:") {
                Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
                _ => Err("must be sqlite:FILE or memory:; other \
                          databases are not supported by this version yet"
                    .to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_memory() {
        let file = |path: &str| Ok(StoreUrl::Sqlite(path.into()));
        assert_eq!(StoreUrl::parse(""), file("amqpost-data/amqpost.db"));
        assert_eq!(
            StoreUrl::parse("sqlite:/var/lib/a.db"),
            file("/var/lib/a.db")
        );
        assert_eq!(StoreUrl::parse("memory:"), Ok(StoreUrl::Memory));
        for other in ["sqlite:", "postgres://h/db", "memory", "/var/lib/a.db"] {
            assert!(StoreUrl::parse(other).is_err(), "{other}");
        }
    }
}
