//! `amqpost check-config`: everything that would keep a gateway from starting, at once.

use std::ffi::OsString;

use amqpost::config::{Config, ConfigError, ConfigFile, IdentityFiles, Options, read_topology};

/// Looks at the names of the environment's `variables`, the options, and the files that these name.
///
/// # Errors
/// All mistakes. Files are looked at only when the options are good, which say what they are for.
pub(crate) fn run(
    variables: impl Iterator<Item = OsString>,
    file: &ConfigFile,
    options: &Options,
) -> Result<(), ConfigError> {
    let misspelt = Config::refuse_unknown_variables(variables).err();
    let mut mistakes = misspelt.map_or_else(Vec::new, |error| error.0);
    match Config::load(file, options) {
        Ok(config) => mistakes.extend(mistakes_in_files(&config)),
        Err(ConfigError(more)) => mistakes.extend(more),
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(ConfigError(mistakes))
    }
}

fn mistakes_in_files(config: &Config) -> impl Iterator<Item = String> {
    let topology = config.topology_file.as_deref();
    let topology = topology.map(|file| read_topology(file, config.brokers.vhost()));
    let https = config.https.as_ref().map(IdentityFiles::read);
    [
        topology
            .and_then(Result::err)
            .map(|error| error.to_string()),
        https.and_then(Result::err).map(|error| error.to_string()),
        config.broker_client().err().map(|error| error.to_string()),
    ]
    .into_iter()
    .flatten()
}
