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
    /// Reads an address; without one, the file in the working directory.
    ///
    /// # Errors
    /// One sentence that says what is possible.
    pub fn parse(url: Option<&str>) -> Result<Self, String> {
        match url.filter(|url| !url.is_empty()) {
            None => Ok(Self::Sqlite("amqpost-data/amqpost.db".into())),
            Some("memory:") => Ok(Self::Memory),
            Some(url) => match url.strip_prefix("sqlite:") {
                Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
                _ => Err(
                    "store_url (AMQPOST_STORE_URL) must be sqlite:FILE or memory:; other \
                          databases are not supported by this version yet"
                        .to_owned(),
                ),
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
        assert_eq!(StoreUrl::parse(None), file("amqpost-data/amqpost.db"));
        assert_eq!(
            StoreUrl::parse(Some("sqlite:/var/lib/a.db")),
            file("/var/lib/a.db")
        );
        assert_eq!(StoreUrl::parse(Some("memory:")), Ok(StoreUrl::Memory));
        for other in ["sqlite:", "postgres://h/db", "memory", "/var/lib/a.db"] {
            assert!(StoreUrl::parse(Some(other)).is_err(), "{other}");
        }
    }
}
