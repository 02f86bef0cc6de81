//! What fanotify tells of a temporary tree in which shells work. Skipped without `CAP_SYS_ADMIN`.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::group::Detail;
use super::*;
use crate::observed::{Action, Event, FileEvent, Left, Who};

/// Longer than any of these tests has to wait.
const LIMIT: Duration = Duration::from_secs(20);

struct Host {
    folder: tempfile::TempDir,
    fanotify: Fanotify,
}

impl Host {
    fn new() -> Option<Self> {
        Self::prepared("", &["tree"])
    }

    /// A host on which a script ran before the watching began.
    fn prepared(script: &str, patterns: &[&str]) -> Option<Self> {
        Self::with(Detail::Full, script, patterns)
    }

    fn with(detail: Detail, script: &str, patterns: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        run(folder.path(), script);
        let patterns: Vec<_> = patterns
            .iter()
            .map(|pattern| folder.path().join(pattern).to_str().unwrap().to_owned())
            .collect();
        let ignored = ["*.swp".to_owned()];
        let trees = Trees::discover(&patterns, &ignored, Path::new("/nowhere")).unwrap();
        let group = match Group::open_with(detail) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: fanotify needs CAP_SYS_ADMIN to tell processes");
                return None;
            }
            group => group.unwrap(),
        };
        let fanotify = Fanotify::start_with(group, Arc::new(trees), 0).unwrap();
        Some(Self { folder, fanotify })
    }

    /// Runs a script in the folder by one shell and gives what was told. Only builtins and what is
    /// run by `exec` act as the shell's process, and each event has to be by that.
    fn told(&mut self, script: &str) -> Vec<String> {
        let pid = run(self.folder.path(), script);
        self.told_of(pid)
    }

    /// Does something in the folder by this process and gives what was told.
    fn told_when(&mut self, act: impl FnOnce(&Path)) -> Vec<String> {
        act(self.folder.path());
        self.told_of(std::process::id())
    }

    /// Gives what was told until now: an event of another process marks the end.
    fn told_of(&mut self, pid: u32) -> Vec<String> {
        let end = run(self.folder.path(), "echo end > tree/.end");
        let mut told = Vec::new();
        self.read_until(|event, who| {
            if who == end {
                return matches!(event.action, Action::Closed { .. });
            }
            assert_eq!(who, pid, "{event:?}");
            told.push(event.clone());
            false
        });
        told.iter().map(|event| self.line(event)).collect()
    }

    /// Reads until an event is the one that is waited for, and all that was read with it.
    fn read_until(&mut self, mut is_last: impl FnMut(&FileEvent, u32) -> bool) {
        let begin = Instant::now();
        let mut is_over = false;
        let (nothing, _kept_open) = UnixStream::pair().unwrap();
        while !is_over && begin.elapsed() < LIMIT {
            for signal in self.fanotify.read(LIMIT, nothing.as_fd()) {
                let (event, pid) = file_event(signal);
                is_over |= is_last(&event, pid);
            }
        }
        assert!(is_over, "what was waited for did not come");
    }

    fn line(&self, event: &FileEvent) -> String {
        let name = |path: &Text| {
            let folder = self.folder.path().as_os_str().as_encoded_bytes();
            let below = path::below(path.as_bytes(), folder).unwrap_or(b"?");
            Text::from(below).to_string()
        };
        let path = name(&event.path);
        match &event.action {
            Action::Closed { created: true } => format!("created+closed {path}"),
            Action::Closed { created: false } => format!("closed {path}"),
            Action::Attributes { .. } => format!("attributes {path}"),
            Action::Symlinked { target } => format!("symlinked {path} to {target}"),
            Action::Linked { .. } => format!("linked {path}"),
            Action::Renamed {
                from,
                left: Left::Other,
                ..
            } => format!("exchanged {} and {path}", name(&from.path)),
            Action::Renamed {
                from, into_watched, ..
            } => {
                let out = if *into_watched { "" } else { " outside" };
                let unwatched = if from.watched { "" } else { " unwatched" };
                format!("renamed{unwatched} {} to{out} {path}", name(&from.path))
            }
            action => format!("{action:?} {path}").to_lowercase(),
        }
    }
}

fn file_event(signal: Signal) -> (FileEvent, u32) {
    match signal {
        Signal::Observation(Observation {
            who: Who::Pid(pid),
            event: Event::File(event),
            ..
        }) => (event, pid),
        other => panic!("{other:?}"),
    }
}

/// Runs a script in a folder by one shell.
fn run(folder: &Path, script: &str) -> u32 {
    let mut shell = Command::new("sh");
    shell.arg("-euc").arg(script).current_dir(folder);
    let mut child = shell.stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success(), "{script}");
    pid
}

/// Without the writes before a close, which are told or not, as the reader is quick or not.
fn without_writes(mut told: Vec<String>) -> Vec<String> {
    told.retain(|line| !line.starts_with("dirtied "));
    told
}

#[test]
fn a_file_that_is_created_and_written_is_told_once() {
    let Some(mut host) = Host::new() else {
        return;
    };
    let told = without_writes(host.told("echo hello > tree/a"));
    assert_eq!(told, ["created+closed tree/a"]);
    let told = without_writes(host.told("echo more >> tree/a"));
    assert_eq!(told, ["closed tree/a"]);
}

#[test]
fn a_write_without_a_close_is_told() {
    let Some(mut host) = Host::prepared("echo x > tree/a", &["tree"]) else {
        return;
    };
    let told = host.told_when(|folder| {
        let file = fs::OpenOptions::new()
            .append(true)
            .open(folder.join("tree/a"));
        io::Write::write_all(&mut file.as_ref().unwrap(), b"y").unwrap();
        // Never closed.
        std::mem::forget(file);
    });
    assert_eq!(told, ["dirtied tree/a"]);
}

#[test]
fn a_new_file_that_stays_open_is_told_after_a_while() {
    let Some(mut host) = Host::new() else {
        return;
    };
    // Not by this process: what another test forks at this moment would share its descriptor.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec 3> tree/a; read end"]);
    shell.current_dir(host.folder.path()).stdin(Stdio::piped());
    let mut holder = shell.spawn().unwrap();
    host.read_until(|event, _| {
        event.action == Action::Created && event.path.as_bytes().ends_with(b"tree/a")
    });
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(host.told_of(holder.id()), ["closed tree/a"]);
}

#[test]
fn all_that_happened_until_now_is_read_without_waiting() {
    let Some(mut host) = Host::new() else {
        return;
    };
    for file in 0..100 {
        let pid = run(host.folder.path(), &format!("exec 3> tree/{file}"));
        let told: Vec<_> = host
            .fanotify
            .read_now()
            .unwrap_or_default()
            .into_iter()
            .map(file_event)
            .collect();
        let closed = told.iter().any(|(event, who)| {
            *who == pid && matches!(event.action, Action::Closed { created: true })
        });
        assert!(closed, "{file}: {told:#?}");
    }
}

#[test]
fn names_of_any_bytes_are_told() {
    let Some(mut host) = Host::new() else {
        return;
    };
    let told = host.told("echo x > \"$(printf 'tree/a\\nb\\377')\"");
    assert_eq!(without_writes(told), [r"created+closed tree/a\nb\xff"]);
}

#[test]
fn a_file_that_is_renamed_keeps_its_content_and_is_told_with_both_names() {
    let Some(mut host) = Host::prepared("mkdir tree/d; echo x > tree/a", &["tree"]) else {
        return;
    };
    assert_eq!(
        host.told("exec mv tree/a tree/d/b"),
        ["renamed tree/a to tree/d/b"]
    );
    assert_eq!(
        host.told("exec mv tree/d/b c"),
        ["renamed tree/d/b to outside c"]
    );
    assert_eq!(
        host.told("exec mv c tree/e"),
        ["renamed unwatched c to tree/e"]
    );
}

#[test]
fn a_name_outside_of_all_marked_directories_is_not_known() {
    let Some(mut host) = Host::prepared("mkdir far; echo x > tree/a", &["tree"]) else {
        return;
    };
    assert_eq!(host.told("exec mv tree/a far/a"), ["deleted tree/a"]);
    assert_eq!(
        host.told("exec mv far/a tree/b"),
        ["renamed unwatched ? to tree/b"]
    );
}

#[test]
fn a_file_replaced_by_another_one_is_told_as_written_and_renamed() {
    let Some(mut host) = Host::prepared("echo old > tree/a", &["tree"]) else {
        return;
    };
    let told = host.told("echo new > tree/tmp; exec mv tree/tmp tree/a");
    assert_eq!(
        without_writes(told),
        ["created+closed tree/tmp", "renamed tree/tmp to tree/a"]
    );
}

#[test]
fn an_edit_in_place_ends_as_a_rename_over_the_file() {
    let Some(mut host) = Host::prepared("echo old > tree/a", &["tree"]) else {
        return;
    };
    let told = host.told("exec sed -i s/old/new/ tree/a");
    assert!(told[0].contains("tree/sed"), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("renamed tree/sed")));
    assert!(told.iter().any(|line| line.ends_with(" to tree/a")));
}

#[test]
fn what_is_removed_is_told() {
    let Some(mut host) = Host::prepared("mkdir tree/d; echo x > tree/d/a", &["tree"]) else {
        return;
    };
    assert_eq!(
        host.told("exec rm -r tree/d"),
        ["deleted tree/d/a", "deleted tree/d"]
    );
}

#[test]
fn new_directories_are_watched_however_quickly_they_are_filled() {
    let Some(mut host) = Host::new() else {
        return;
    };
    let mut told = host.told("exec mkdir -p tree/1/2/3/4/5/6");
    told.sort();
    told.dedup();
    let path = |depth: usize| format!("created tree/{}", &"1/2/3/4/5/6"[..depth * 2 - 1]);
    assert_eq!(told, (1..=6).map(path).collect::<Vec<_>>());
    let told = host.told("echo x > tree/1/2/3/4/5/6/a");
    assert_eq!(without_writes(told), ["created+closed tree/1/2/3/4/5/6/a"]);
}

#[test]
fn a_file_made_before_its_directory_was_marked_is_found() {
    let Some(mut host) = Host::new() else {
        return;
    };
    let pid = run(
        host.folder.path(),
        "umask 0; mkdir -p tree/d/e; : > tree/d/e/a",
    );
    let mut who_made = 0;
    host.read_until(|event, who| {
        who_made = who;
        event.path.as_bytes().ends_with(b"/e/a") && event.action == Action::Created
    });
    // The directories are by `mkdir`, and so is, as far as can be known, what was found in them.
    assert_ne!(who_made, pid);
}

#[test]
fn links_attributes_and_special_files_are_told() {
    let Some(mut host) = Host::prepared("echo x > tree/a; mkdir tree/d", &["tree"]) else {
        return;
    };
    assert_eq!(host.told("exec ln -s a tree/s"), ["symlinked tree/s to a"]);
    assert_eq!(host.told("exec ln tree/a tree/l"), ["linked tree/l"]);
    assert_eq!(host.told("exec chmod 600 tree/a"), ["attributes tree/a"]);
    assert_eq!(host.told("exec chmod 700 tree/d"), ["attributes tree/d"]);
    assert_eq!(host.told("exec mkfifo tree/p"), ["created tree/p"]);
    let told = host.told_when(|folder| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(folder.join("tree/a"), "user.x", b"y", flags).unwrap();
    });
    assert_eq!(told, ["attributes tree/a"]);
}

#[test]
fn what_is_ignored_or_outside_is_not_told() {
    let Some(mut host) = Host::prepared("mkdir far", &["tree"]) else {
        return;
    };
    let told = host.told("echo x > tree/.a.swp; echo x > far/a; echo x > beside");
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn what_the_daemon_does_is_not_told_but_followed() {
    let Some(mut host) = Host::new() else {
        return;
    };
    host.fanotify.teller = Teller::new(Arc::clone(&host.fanotify.marks.trees), std::process::id());
    let told = host.told_when(|folder| fs::create_dir(folder.join("tree/d")).unwrap());
    assert_eq!(told, Vec::<String>::new());
    let told = host.told("echo x > tree/d/a");
    assert_eq!(without_writes(told), ["created+closed tree/d/a"]);
}

#[test]
fn a_renamed_directory_is_followed() {
    let Some(mut host) = Host::prepared("mkdir -p tree/a/x", &["tree"]) else {
        return;
    };
    assert_eq!(
        host.told("exec mv tree/a tree/b"),
        ["renamed tree/a to tree/b"]
    );
    let told = host.told("echo x > tree/b/x/f");
    assert_eq!(without_writes(told), ["created+closed tree/b/x/f"]);
}

#[test]
fn files_that_are_exchanged_are_told_once_and_there_and_back_is_told_as_it_was() {
    let Some(mut host) = Host::prepared("echo x > tree/a; echo y > tree/b", &["tree"]) else {
        return;
    };
    let told = host.told_when(|folder| {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let (a, b) = (folder.join("tree/a"), folder.join("tree/b"));
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
    });
    assert_eq!(told, ["exchanged tree/a and tree/b"]);
    let told = host.told_when(|folder| {
        let (a, c) = (folder.join("tree/a"), folder.join("tree/c"));
        fs::rename(&a, &c)
            .and_then(|()| fs::rename(&c, &a))
            .unwrap();
    });
    assert_eq!(
        told,
        ["renamed tree/a to tree/c", "renamed tree/c to tree/a"]
    );
}

#[test]
fn swapped_directories_are_both_followed() {
    let Some(mut host) = Host::prepared("mkdir -p tree/a/x tree/b/y", &["tree"]) else {
        return;
    };
    let told = host.told_when(|folder| {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let (a, b) = (folder.join("tree/a"), folder.join("tree/b"));
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
    });
    assert_eq!(told[0], "exchanged tree/a and tree/b");
    let told = host.told("echo x > tree/a/y/f; echo x > tree/b/x/f");
    assert_eq!(
        without_writes(told),
        ["created+closed tree/a/y/f", "created+closed tree/b/x/f"]
    );
}

#[test]
fn a_directory_that_is_moved_in_is_told_with_its_content_and_followed() {
    let Some(mut host) = Host::prepared("mkdir -p far/d/e; echo x > far/d/e/f", &["tree"]) else {
        return;
    };
    assert_eq!(
        host.told("exec mv far/d tree/d"),
        [
            "renamed unwatched ? to tree/d",
            "created tree/d/e",
            "created tree/d/e/f"
        ]
    );
    let told = host.told("echo x > tree/d/e/f");
    assert_eq!(without_writes(told), ["closed tree/d/e/f"]);
    assert_eq!(host.told("exec mv tree/d far/d"), ["deleted tree/d"]);
    assert_eq!(host.told("echo x > far/d/e/f"), Vec::<String>::new());
}

#[test]
fn a_tree_that_appears_later_is_watched() {
    let Some(mut host) = Host::prepared("mkdir -p home/alice", &["tree", "home/*/.ssh"]) else {
        return;
    };
    let told = host.told("mkdir home/alice/x; exec mkdir home/alice/.ssh");
    assert_eq!(told, ["created home/alice/.ssh"]);
    let told = host.told("echo key > home/alice/.ssh/keys");
    assert_eq!(
        without_writes(told),
        ["created+closed home/alice/.ssh/keys"]
    );
    let told = host.told("exec mv home/alice home/bob");
    assert_eq!(told, ["renamed home/alice/.ssh to home/bob/.ssh"]);
    let told = host.told("echo key > home/bob/.ssh/keys");
    assert_eq!(without_writes(told), ["closed home/bob/.ssh/keys"]);
    let told = host.told("exec mv home/bob elsewhere");
    assert_eq!(told, ["renamed home/bob/.ssh to outside elsewhere/.ssh"]);
    assert_eq!(
        host.told("echo key > elsewhere/.ssh/keys"),
        Vec::<String>::new()
    );
}

#[test]
fn a_single_file_is_watched_through_its_replacement() {
    let Some(mut host) = Host::prepared("echo x > motd", &["tree", "motd"]) else {
        return;
    };
    let told = host.told("echo y > tmp; exec mv tmp motd");
    assert_eq!(told, ["renamed unwatched tmp to motd"]);
    let told = host.told("echo z > motd");
    assert_eq!(without_writes(told), ["closed motd"]);
}

#[test]
fn an_older_kernel_s_renames_are_put_together_from_halves() {
    let script = "mkdir -p tree/d/e far; echo x > tree/a";
    let Some(mut host) = Host::with(Detail::NamesOnly, script, &["tree"]) else {
        return;
    };
    assert_eq!(
        host.told("exec mv tree/a tree/b"),
        ["renamed tree/a to tree/b"]
    );
    assert_eq!(
        host.told("exec mv tree/d tree/f"),
        ["renamed tree/d to tree/f"]
    );
    let told = host.told("echo x > tree/f/e/a");
    assert_eq!(without_writes(told), ["created+closed tree/f/e/a"]);
    assert_eq!(host.told("exec mv tree/b far/b"), ["deleted tree/b"]);
    assert_eq!(
        host.told("exec mv far/b tree/b"),
        ["renamed unwatched ? to tree/b"]
    );
}

#[test]
fn after_a_loss_the_directories_are_found_again() {
    let Some(mut host) = Host::prepared("mkdir tree/d", &["tree"]) else {
        return;
    };
    let mut batch = Batch::now();
    fs::create_dir_all(host.folder.path().join("tree/new/deep")).unwrap();
    host.fanotify.overflow(&mut batch);
    assert_eq!(batch.signals, [Signal::Overflow]);
    host.told_of(std::process::id());
    let told = host.told("echo x > tree/new/deep/a");
    assert_eq!(without_writes(told), ["created+closed tree/new/deep/a"]);
}
