//! Where a configuration comes from, so that it can be read again while the gateway runs.

use std::path::PathBuf;

use super::given::Given;
use super::mistakes::Mistakes;
use super::{Config, ConfigError, ConfigFile, Options};

/// The file, and what is stronger than it.
pub struct Inputs {
    /// The file, if there is one.
    pub file: ConfigFile,
    /// What the command line and the environment say.
    pub options: Options,
}

impl Inputs {
    /// The configuration as it is now.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.file, &self.options)
    }

    /// The files that it depends on at this moment: the one with options, and those that hold a secret.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let given = Given::load(&self.file, &self.options, &mut Mistakes::default());
        self.file
            .path
            .iter()
            .cloned()
            .chain(given.files())
            .collect()
    }
}
