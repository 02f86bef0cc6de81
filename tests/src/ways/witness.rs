//! Who sees a way being gone.

use std::fs;
use std::process::Command;

use crate::wait::PATIENCE;
use crate::{Daemon, Options, wait_long_for};

/// The daemon before whose eyes ways are gone.
#[derive(Debug)]
pub enum Witness {
    /// It was started for them, and is started again for what comparing is to find.
    Own(Daemon),
    /// Other tests share it, where something can be mounted, which makes it compare.
    Shared(&'static Daemon),
}

impl Witness {
    /// Starts a daemon for the ways of one heading.
    pub fn start(options: &Options) -> Self {
        Self::Own(Daemon::start(options))
    }

    pub(super) fn daemon(&self) -> &Daemon {
        match self {
            Self::Own(daemon) => daemon,
            Self::Shared(daemon) => daemon,
        }
    }

    /// Makes it compare the trees with the facts.
    pub(super) fn compare(&mut self) {
        match self {
            Self::Own(daemon) => {
                assert_eq!(daemon.terminate(), Some(0), "the daemon ends");
                daemon.start_again();
            }
            Self::Shared(daemon) => compare_by_mount(daemon),
        }
    }
}

/// Mounts something in the watched tree, and unmounts it.
fn compare_by_mount(daemon: &Daemon) {
    let place = daemon.tree().join("mounted-to-compare");
    fs::create_dir_all(&place).unwrap();
    let (mut mount, mut umount) = (Command::new("mount"), Command::new("umount"));
    mount.args(["-t", "tmpfs", "none"]).arg(&place);
    umount.arg(&place);
    for mut command in [mount, umount] {
        let known = daemon.compared_mounts();
        let ended = crate::run(&mut command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        wait_long_for("the daemon has compared the trees", PATIENCE, || {
            let is_done = daemon.compared_mounts() > known;
            is_done.then_some(()).ok_or_else(|| daemon.read_log())
        });
    }
}
