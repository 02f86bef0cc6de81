//! How a command ends: exit codes, and errors that fit on one line.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{authority, follow, questions, serve, store};

/// Says how a command ended. The numbers are part of the contract, which the tracer's commands share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Found, or done.
    Found = 0,
    /// Nothing was found.
    Nothing = 1,
    /// The command line makes no sense, or names what does not exist.
    Usage = 2,
    /// Anything else.
    Failed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The question has no answer.
    #[error(transparent)]
    Question(#[from] questions::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no directory to keep the state in.
    #[error("make state directory `{path}`: {source}", path = path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The authority cannot do something.
    #[error(transparent)]
    Authority(#[from] authority::Error),
    /// Drift cannot be judged or followed.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// The server cannot start.
    #[error(transparent)]
    Serve(#[from] serve::Error),
    /// The server cannot listen or wait.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The answer cannot be printed.
    #[error("print the answer: {0}")]
    Print(#[from] io::Error),
}

impl Error {
    /// Whether there is nothing to tell: the reader has gone, as `head` does.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code for it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            _ if self.is_quiet() => Exit::Found,
            Self::Question(questions::Error::Store(_)) => Exit::Failed,
            Self::Usage(_)
            | Self::Question(_)
            | Self::Store(store::Error::Glob(_) | store::Error::Url(_))
            | Self::Follow(follow::Error::Rules { .. })
            | Self::Serve(serve::Error::Follow(follow::Error::Rules { .. })) => Exit::Usage,
            Self::Store(_)
            | Self::Print(_)
            | Self::StateDir { .. }
            | Self::Authority(_)
            | Self::Follow(_)
            | Self::Serve(_)
            | Self::System { .. } => Exit::Failed,
        }
    }
}
