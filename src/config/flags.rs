//! What the command line and the environment say, as clap reads it.
//!
//! clap only finds the texts. Reading them is [`super::given`]'s, so that all mistakes are told at once,
//! each with the place where it was made.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::option::{Described, Kind, Value};
use super::options::DESCRIBED;
use super::source::Source;

/// The options of the command line and the environment, as they were written. Secrets may be among
/// them, so it has no `Debug`.
#[derive(Clone, Default)]
pub struct Options(pub(super) Vec<(&'static Described, Source, OsString)>);

impl Args for Options {
    fn augment_args(command: Command) -> Command {
        command.args(DESCRIBED.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(option: &'static Described) -> Arg {
    let argument = Arg::new(option.key)
        .long(option.flag.as_str())
        .env(option.variable.as_str())
        .hide_env_values(option.is_secret())
        .global(true)
        .help(help(option))
        .value_parser(value_parser!(OsString));
    match option.kind {
        Kind::Switch => argument
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::SecretFile(_) => argument.value_name("FILE"),
        Kind::Whole(_) => argument.value_name("NUMBER"),
        Kind::Text | Kind::Secret(_) | Kind::OneOf(_) => argument.value_name("TEXT"),
    }
}

fn help(option: &Described) -> String {
    let sentence = option.help.trim().trim_end_matches('.');
    let allowed = match &option.kind {
        Kind::OneOf(_) => format!(": {}", option.kind),
        _ => String::new(),
    };
    match &option.default {
        Value::Text(none) if none.is_empty() => format!("{sentence} [default: none]"),
        Value::Text(text) => format!("{sentence}{allowed} [default: {text}]"),
        other => format!("{sentence} [default: {other}]"),
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for option in DESCRIBED.iter() {
            let source = match matches.value_source(option.key) {
                Some(ValueSource::CommandLine) => Source::Flag(option),
                Some(ValueSource::EnvVariable) => Source::Variable(option),
                _ => continue,
            };
            if let Some(text) = matches.get_one::<OsString>(option.key) {
                self.0.push((option, source, text.clone()));
            }
        }
        Ok(())
    }
}
