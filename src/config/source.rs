//! Where a value was given, as mistakes and `amqpost config` tell it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::option::Described;

/// Where a value was given.
#[derive(Clone)]
pub(super) enum Source {
    /// On the command line.
    Flag(&'static Described),
    /// In the environment.
    Variable(&'static Described),
    /// In the file.
    File { path: Arc<PathBuf>, line: usize },
    /// In a file of its own, which is named there.
    Apart { named: Box<Source>, path: PathBuf },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(option) => write!(f, "--{}", option.flag),
            Self::Variable(option) => f.write_str(&option.variable),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Apart { named, path } => write!(f, "{named} ({})", path.display()),
        }
    }
}
