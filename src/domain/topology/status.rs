//! What has become of a topology at the broker, as it is told to operators.

use super::Counts;

/// How far the declaring has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No file is configured.
    #[default]
    None,
    /// The broker has not been reached yet. Messages are accepted and wait.
    Waiting,
    /// All of it is there as the file says.
    Declared,
    /// Some of it is not, and the problems say why.
    Mismatch,
}

impl State {
    /// The word that programs read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::Declared => "declared",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Why an entry could not be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It exists, and is not as the file says; or the broker does not accept an argument.
    PreconditionFailed,
    /// The user of the connection may not.
    AccessRefused,
    /// A binding leads from or to what is not there.
    NotFound,
    /// The broker refused it for another reason.
    Refused,
    /// There was no answer in time, or the connection ended over it.
    NoAnswer,
}

impl ProblemKind {
    /// The word that programs read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreconditionFailed => "precondition_failed",
            Self::AccessRefused => "access_refused",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// One entry that could not be declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, as `queue "info.log.queue"`.
    pub entry: String,
    /// Why.
    pub kind: ProblemKind,
    /// The broker's own words.
    pub detail: String,
}

/// All that is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How far it has come.
    pub state: State,
    /// What the file has.
    pub counts: Counts,
    /// Why the broker has not been reached; no addresses.
    pub waiting_for: Option<&'static str>,
    /// What could not be declared.
    pub problems: Vec<Problem>,
}
