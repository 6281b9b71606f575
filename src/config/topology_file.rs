//! The definitions file.

use std::path::{Path, PathBuf};

use crate::domain::Topology;
use crate::domain::topology::{FileFaults, parse};

/// Who has more to declare has named the wrong file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The definitions file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyFileError {
    /// It cannot be read.
    #[error("the topology file {} cannot be read: {why}", path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It has mistakes.
    #[error("the topology file {} has mistakes:\n{faults}", path.display())]
    Mistakes {
        /// Where it is.
        path: PathBuf,
        /// All of them.
        faults: FileFaults,
    },
}

/// Reads the file at `path` for a gateway of `vhost`.
///
/// # Errors
/// [`TopologyFileError`] with all that is wrong.
pub fn read_topology(path: &Path, vhost: &str) -> Result<Topology, TopologyFileError> {
    let unreadable = |why: String| TopologyFileError::Unreadable {
        path: path.to_owned(),
        why,
    };
    let about = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it has {} bytes, and may have {FILE_BYTES_MAX}",
            about.len()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&text, vhost).map_err(|faults| TopologyFileError::Mistakes {
        path: path.to_owned(),
        faults,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_mistake_names_the_file_and_the_place() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"{\n\"queues\": [{}]}").expect("written");
        let name = file.path().display().to_string();
        let mistake = read_topology(file.path(), "/").expect_err("no name");
        let mistake = mistake.to_string();
        assert!(mistake.contains(&name), "{mistake}");
        assert!(mistake.contains("missing field `name`"), "{mistake}");
        assert!(mistake.contains("line 2"), "{mistake}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let mistake = read_topology(Path::new("/nowhere/topology.json"), "/");
        let mistake = mistake.expect_err("nowhere").to_string();
        assert!(mistake.contains("/nowhere/topology.json"), "{mistake}");
    }
}
