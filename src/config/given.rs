//! What was given, by whoever is strongest, and where.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::callers::CallerTables;
use super::cli::ConfigFile;
use super::flags::Options;
use super::mistakes::Mistakes;
use super::option::{Described, Value};
use super::source::Source;

/// Bytes of a file that holds a secret; whoever has more has named the wrong file.
const SECRET_FILE_BYTES_MAX: u64 = 1 << 20;

/// What one place says: the command line, the environment, or the file.
pub(super) type Layer = Vec<(&'static Described, Source, Value)>;

/// The values that were given.
#[derive(Default)]
pub(super) struct Given {
    values: BTreeMap<&'static str, (Value, Source)>,
    /// What single callers may do, which only the file can say.
    pub(super) callers: CallerTables,
}

impl Given {
    /// What is given for this key.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }

    /// Where it is given, unless it is a default.
    pub(super) fn source(&self, key: &str) -> Option<&Source> {
        self.values.get(key).map(|(_, source)| source)
    }

    /// The files of their own that values come from.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.values.values().filter_map(|(_, source)| match source {
            Source::Apart { path, .. } => Some(path.clone()),
            _ => None,
        })
    }

    /// Takes what `options` and the file say.
    pub(super) fn load(file: &ConfigFile, options: &Options, mistakes: &mut Mistakes) -> Self {
        let mut given = Self::default();
        given.take_options(options, mistakes);
        if let Some(path) = &file.path {
            let (layer, callers) = super::file::read(path, mistakes);
            given.take(layer, mistakes);
            given.callers = callers;
        }
        given
    }

    /// Takes what `options` say: flags are stronger than variables.
    fn take_options(&mut self, options: &Options, mistakes: &mut Mistakes) {
        let (mut flags, mut variables) = (Layer::new(), Layer::new());
        for (option, source, text) in &options.0 {
            let value = match text.to_str() {
                Some(text) => option.kind.read(text),
                None => Err("is not UTF-8".to_owned()),
            };
            let layer = match source {
                Source::Flag(_) => &mut flags,
                _ => &mut variables,
            };
            match value {
                Ok(value) => layer.push((option, source.clone(), value)),
                Err(words) => mistakes.at(source, option.key, &words),
            }
        }
        self.take(flags, mistakes);
        self.take(variables, mistakes);
    }

    /// Takes what `layer` says where nobody stronger has said anything.
    fn take(&mut self, mut layer: Layer, mistakes: &mut Mistakes) {
        let mut taken: BTreeMap<&'static str, &'static Described> = BTreeMap::new();
        // Files first, so that an empty text beside one is seen for what it is: nothing.
        layer.sort_by_key(|(option, ..)| !option.is_companion());
        for (option, source, value) in layer {
            let target = option.target();
            let empty = value == Value::Text(String::new());
            if empty && (option.is_companion() || taken.contains_key(target)) {
                continue;
            }
            if let Some(other) = taken.insert(target, option) {
                let words = format!("{} is given too, and one of the two is enough", other.key);
                mistakes.at(&source, option.key, &words);
            } else if self.values.contains_key(target) {
                // Somebody stronger has given it, in this form or the other.
            } else if let (true, Value::Text(path)) = (option.is_companion(), &value) {
                match read_secret(Path::new(path)) {
                    Ok(text) => {
                        let source = Source::Apart {
                            named: Box::new(source),
                            path: path.into(),
                        };
                        self.values.insert(target, (Value::Text(text), source));
                    }
                    Err(words) => mistakes.at(&source, option.key, &words),
                }
            } else {
                self.values.insert(target, (value, source));
            }
        }
    }
}

/// The text of a file without the newline at its end, which editors and `echo` leave there.
fn read_secret(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => {
            return Err(format!(
                "names the file {shown}, which cannot be read: {error}"
            ));
        }
        Ok(length) if length as u64 > SECRET_FILE_BYTES_MAX => {
            return Err(format!(
                "names the file {shown}, which has more than {SECRET_FILE_BYTES_MAX} bytes"
            ));
        }
        Ok(_) => {}
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("names the file {shown}, which is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        // Taken for none, it would open a gateway that was meant to be closed.
        return Err(format!("names the file {shown}, which is empty"));
    }
    Ok(text.to_owned())
}
