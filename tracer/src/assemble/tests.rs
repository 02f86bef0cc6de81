//! What users do, told as the kernel tells it.

use change::{FileState, Note};

use super::*;
use crate::capture::{Captured, Found, Identity};
use crate::observed::{Name, ProcessId, Task};

fn process(pid: u32, parent: u32) -> Who {
    Who::Task(Task {
        process: ProcessId { pid, start_ns: 1 },
        parent,
        ..Task::default()
    })
}

struct Story {
    assembler: Assembler,
    time: Timestamp,
    inode: Inode,
}

impl Story {
    fn new() -> Self {
        let inode = Inode {
            number: 7,
            links: 1,
            mode: 0o100_644,
            ..Inode::default()
        };
        Self {
            assembler: Assembler::default(),
            time: Timestamp::from_nanos(0),
            inode,
        }
    }

    /// One thing happens, a millisecond after the one before, and the file's size grows with it.
    fn then(&mut self, who: &Who, path: &str, action: Action) -> &mut Self {
        self.through(who, path, action, 1)
    }

    fn through(&mut self, who: &Who, path: &str, action: Action, description: u64) -> &mut Self {
        self.time = self.time.plus_nanos(1_000_000);
        if matches!(action, Action::Dirtied | Action::Closed { .. }) {
            self.inode.size += 1;
        }
        let event = FileEvent {
            action,
            path: path.into(),
            inode: Some(self.inode),
            unnamed: false,
            description: Some(description),
        };
        self.assembler.observe(self.time, who, event, &|_, _| true);
        self
    }

    fn wait(&mut self, duration: Duration) -> &mut Self {
        self.time = self
            .time
            .plus_nanos(i64::try_from(duration.as_nanos()).unwrap());
        self
    }

    /// Everything finished by now, as `pid came path`.
    fn told(&mut self) -> Vec<String> {
        let finished = self.assembler.take_finished(self.time);
        finished.iter().map(describe).collect()
    }

    fn all(&mut self) -> Vec<String> {
        self.assembler.take_all().iter().map(describe).collect()
    }
}

fn describe(assembled: &Assembled) -> String {
    let Assembled {
        who,
        path,
        came,
        deleted,
        operations,
        notes,
        ..
    } = assembled;
    let came = match came {
        _ if *deleted => "deleted".to_owned(),
        Came::Renamed { from, .. } => format!("renamed from {from}"),
        Came::Linked(_) => "linked".to_owned(),
        came => format!("{came:?}").to_lowercase(),
    };
    let many = if *operations > 1 {
        format!(" x{operations}")
    } else {
        String::new()
    };
    let is_shared = notes.contains(&Note::SharedDescription);
    let shared = if is_shared { " shared" } else { "" };
    format!("{} {came} {path}{many}{shared}", who.pid())
}

const CLOSED: Action = Action::Closed { created: false };
const MADE: Action = Action::Closed { created: true };

fn renamed(from: &str, replaced: bool) -> Action {
    Action::Renamed {
        from: Name {
            path: from.into(),
            watched: true,
        },
        into_watched: true,
        left: Left::Nothing,
        replaced: replaced.then(Inode::default),
    }
}

#[test]
fn open_write_close_is_one_change_after_a_quiet_second() {
    let mut story = Story::new();
    let shell = process(10, 1);
    story
        .then(&shell, "/etc/a", Action::Dirtied)
        .then(&shell, "/etc/a", CLOSED);
    assert_eq!(story.told(), [""; 0]);
    assert_eq!(story.wait(QUIET).told(), ["10 existed /etc/a"]);
}

#[test]
fn a_loop_of_appends_by_one_shell_is_one_change() {
    let mut story = Story::new();
    let shell = process(10, 1);
    for _ in 0..500 {
        story.then(&shell, "/etc/a", CLOSED);
    }
    assert_eq!(story.wait(QUIET).told(), ["10 existed /etc/a x500"]);
}

#[test]
fn a_file_that_is_written_without_a_pause_is_told_every_few_seconds() {
    let mut story = Story::new();
    let logger = process(10, 1);
    let mut told = 0;
    for _ in 0..50 {
        story
            .wait(QUIET / 2)
            .then(&logger, "/opt/app.log", Action::Dirtied);
        told += story.told().len();
    }
    assert_eq!(told, 2, "in 25 seconds");
}

#[test]
fn two_processes_that_write_one_after_the_other_are_two_changes() {
    let mut story = Story::new();
    let (one, two) = (process(10, 3), process(20, 4));
    story
        .then(&one, "/etc/a", CLOSED)
        .then(&two, "/etc/a", CLOSED);
    assert_eq!(story.all(), ["10 existed /etc/a", "20 existed /etc/a"]);
}

#[test]
fn a_file_made_beside_and_renamed_over_is_one_change_of_the_target() {
    let mut story = Story::new();
    let sed = process(10, 1);
    story.then(&sed, "/etc/sedAbCdEf", Action::Creating);
    story.then(&sed, "/etc/sedAbCdEf", MADE);
    story.then(&sed, "/etc/a", renamed("/etc/sedAbCdEf", true));
    assert_eq!(story.all(), ["10 replaced /etc/a"]);
}

#[test]
fn dpkg_may_take_minutes_until_it_renames() {
    let mut story = Story::new();
    let dpkg = process(10, 1);
    story
        .then(&dpkg, "/etc/a.dpkg-new", Action::Creating)
        .then(&dpkg, "/etc/a.dpkg-new", MADE);
    assert_eq!(story.wait(Duration::from_mins(2)).told(), [""; 0]);
    story.then(&dpkg, "/etc/a", renamed("/etc/a.dpkg-new", false));
    assert_eq!(story.wait(QUIET).told(), ["10 created /etc/a"]);
}

#[test]
fn a_directory_that_got_its_name_while_it_was_empty_was_made_under_it() {
    let tool = process(10, 1);
    let in_directory = |happen: &dyn Fn(&mut Story)| {
        let mut story = Story::new();
        story.inode.mode = 0o040_755;
        story.then(&tool, "/etc/d.dpkg-new", Action::Created);
        happen(&mut story);
        story.then(&tool, "/etc/d", renamed("/etc/d.dpkg-new", false));
        story.all()
    };
    assert_eq!(in_directory(&|_| {}), ["10 created /etc/d"]);
    let make_another = |story: &mut Story| {
        story.then(&tool, "/etc/d.dpkg-new/e", Action::Created);
    };
    assert_eq!(
        in_directory(&make_another),
        [
            "10 created /etc/d.dpkg-new",
            "10 created /etc/d.dpkg-new/e",
            "10 renamed from /etc/d.dpkg-new /etc/d"
        ]
    );
}

#[test]
fn there_and_back_is_told_as_it_was() {
    let mut story = Story::new();
    let mv = process(10, 1);
    story
        .then(&mv, "/e/b", renamed("/e/a", false))
        .then(&mv, "/e/a", renamed("/e/b", false));
    let told = story.assembler.take_all();
    let last = told.last().map(|last| last.came.clone());
    assert!(
        matches!(
            last,
            Some(Came::Renamed {
                replaced: false,
                ..
            })
        ),
        "{told:?}"
    );
    let told: Vec<String> = told.iter().map(describe).collect();
    assert_eq!(
        told,
        ["10 renamed from /e/a /e/b", "10 renamed from /e/b /e/a"]
    );
}

#[test]
fn vim_puts_the_old_file_aside_writes_a_new_one_and_removes_the_old() {
    let mut story = Story::new();
    let vim = process(10, 1);
    story
        .then(&vim, "/etc/.a.swp", Action::Creating)
        .then(&vim, "/etc/4913", Action::Creating);
    story
        .then(&vim, "/etc/4913", MADE)
        .then(&vim, "/etc/4913", Action::Deleted);
    story.then(&vim, "/etc/a~", renamed("/etc/a", false));
    story
        .then(&vim, "/etc/a", Action::Creating)
        .then(&vim, "/etc/a", Action::Dirtied);
    story
        .then(&vim, "/etc/a", MADE)
        .then(&vim, "/etc/a~", Action::Deleted);
    story
        .then(&vim, "/etc/.a.swp", MADE)
        .then(&vim, "/etc/.a.swp", Action::Deleted);
    assert_eq!(story.all(), ["10 replaced /etc/a"]);
}

#[test]
fn what_is_put_aside_and_removed_without_a_new_one_is_deleted() {
    let mut story = Story::new();
    let script = process(10, 1);
    story
        .then(&script, "/etc/b", renamed("/etc/a", false))
        .then(&script, "/etc/b", Action::Deleted);
    assert_eq!(story.all(), ["10 deleted /etc/a"]);
}

#[test]
fn a_file_that_lived_for_a_moment_is_told_whatever_its_process() {
    let mut story = Story::new();
    let program = process(10, 1);
    story
        .then(&program, "/etc/cron.d/x", Action::Creating)
        .then(&program, "/etc/cron.d/x", MADE);
    story.then(&program, "/etc/cron.d/x", Action::Deleted);
    assert_eq!(
        story.all(),
        ["10 created /etc/cron.d/x", "10 deleted /etc/cron.d/x"]
    );
}

#[test]
fn the_writer_is_named_not_the_shell_that_opened_the_file_for_it() {
    let mut story = Story::new();
    let (shell, tool) = (process(10, 1), process(11, 10));
    story.then(
        &shell,
        "/etc/a",
        Action::Attributes {
            size: true,
            mode: false,
            owner: false,
        },
    );
    story.then(&tool, "/etc/a", Action::Dirtied);
    story.then(&tool, "/etc/a", Action::Released { written_bytes: 4 });
    story.inode.size -= 1;
    story.then(&shell, "/etc/a", CLOSED);
    assert_eq!(story.all(), ["11 existed /etc/a shared"]);
}

#[test]
fn a_close_without_a_write_claims_nothing() {
    let mut story = Story::new();
    let (writer, idler) = (process(10, 3), process(20, 4));
    story.then(&writer, "/etc/a", CLOSED);
    story.inode.size -= 1;
    story.through(&idler, "/etc/a", CLOSED, 2);
    assert_eq!(story.all(), ["10 existed /etc/a"]);
}

#[test]
fn removing_and_making_anew_is_one_change() {
    let mut story = Story::new();
    let tool = process(10, 1);
    story
        .then(&tool, "/etc/a", Action::Deleted)
        .then(&tool, "/etc/a", Action::Creating);
    story.then(&tool, "/etc/a", MADE);
    assert_eq!(story.all(), ["10 replaced /etc/a"]);
}

#[test]
fn a_plain_rename_names_both_paths() {
    let mut story = Story::new();
    let mv = process(10, 1);
    story.then(&mv, "/etc/b", renamed("/etc/a", false));
    assert_eq!(story.wait(QUIET).told(), ["10 renamed from /etc/a /etc/b"]);
    assert!(story.assembler.is_empty());
}

#[test]
fn what_was_replaced_and_what_moved_away_are_both_told() {
    let mv = process(10, 1);
    let mut story = Story::new();
    story
        .then(&mv, "/e/b", renamed("/e/a", true))
        .then(&mv, "/e/b", Action::Deleted);
    assert_eq!(
        story.all(),
        ["10 renamed from /e/a /e/b", "10 deleted /e/b"]
    );
    let mut story = Story::new();
    story
        .then(&mv, "/e/b", renamed("/e/a", false))
        .then(&mv, "/e/c", renamed("/e/b", true));
    assert_eq!(story.all(), ["10 renamed from /e/a /e/c"]);
    let mut story = Story::new();
    story
        .then(&mv, "/e/b", renamed("/e/a", true))
        .then(&mv, "/e/c", renamed("/e/b", true));
    let both = ["10 renamed from /e/a /e/b", "10 renamed from /e/b /e/c"];
    assert_eq!(story.all(), both);
}

#[test]
fn what_is_done_to_a_file_after_its_rename_is_another_change() {
    let shell = process(10, 1);
    let mut story = Story::new();
    story
        .then(&shell, "/e/b", renamed("/e/a", false))
        .then(&shell, "/e/b", CLOSED);
    assert_eq!(
        story.all(),
        ["10 renamed from /e/a /e/b", "10 existed /e/b"]
    );
}

#[test]
fn a_new_directory_is_told_under_both_names_and_its_files_are_read_where_they_are() {
    let shell = process(10, 1);
    let mut story = Story::new();
    story.inode.mode = 0o040_755;
    story.then(&shell, "/e/tmp", Action::Created);
    story.inode.mode = 0o100_644;
    story.then(&shell, "/e/tmp/f", MADE);
    story.inode.mode = 0o040_755;
    story.then(&shell, "/e/d", renamed("/e/tmp", true));
    let all = story.assembler.take_all();
    let told: Vec<String> = all.iter().map(describe).collect();
    assert_eq!(
        told,
        [
            "10 created /e/tmp",
            "10 created /e/tmp/f",
            "10 renamed from /e/tmp /e/d"
        ]
    );
    assert_eq!(all[1].place, Some("/e/d/f".into()));
}

#[test]
fn a_directory_that_was_renamed_and_removed_took_its_files_along() {
    let shell = process(10, 1);
    let mut story = Story::new();
    story.inode.mode = 0o040_755;
    story
        .then(&shell, "/e/d", renamed("/e/tmp", false))
        .then(&shell, "/e/tmp", Action::Created)
        .then(&shell, "/e/d", Action::Deleted);
    assert_eq!(
        story.all(),
        [
            "10 renamed from /e/tmp /e/d",
            "10 created /e/tmp",
            "10 deleted /e/d"
        ]
    );
}

#[test]
fn a_creation_that_is_told_by_the_closing_alone_counts_from_the_first_event() {
    // As fanotify tells of `sed -i`: the attributes of the new file come before its closing.
    let sed = process(10, 1);
    let mut story = Story::new();
    let attributes = Action::Attributes {
        size: false,
        mode: true,
        owner: true,
    };
    story
        .then(&sed, "/e/sedAbCdEf", attributes)
        .then(&sed, "/e/sedAbCdEf", MADE)
        .then(&sed, "/e/hosts", renamed("/e/sedAbCdEf", true));
    assert_eq!(story.all(), ["10 replaced /e/hosts"]);
}

#[test]
fn what_is_being_written_is_not_read_before_it_has_been_quiet() {
    let logger = process(10, 1);
    let mut story = Story::new();
    story.then(&logger, "/e/log", Action::Dirtied);
    assert!(story.assembler.take_touched().is_empty());
    assert!(story.assembler.take_all_settled(None).is_empty());
    story.wait(QUIET);
    let finished = story.assembler.take_finished(story.time);
    assert!(finished[0].writing && finished[0].captured.is_none());
    story.then(&logger, "/e/log", CLOSED);
    assert_eq!(story.assembler.take_touched(), ["/e/log".into()]);
    assert!(!story.assembler.take_all_settled(None)[0].writing);
}

#[test]
fn what_happened_first_is_told_first() {
    let (alice, bob) = (process(10, 1), process(20, 2));
    let mut story = Story::new();
    story.then(&alice, "/d", Action::Created);
    story.then(&alice, "/d/f", MADE);
    // Another process ends the first change of the file at once, and the directory still rests.
    story.then(&bob, "/d/f", CLOSED);
    assert_eq!(story.told(), Vec::<String>::new());
    story.wait(QUIET);
    assert_eq!(
        story.told(),
        ["10 created /d", "10 created /d/f", "20 existed /d/f"]
    );
    assert!(story.assembler.is_empty());
}

#[test]
fn a_clock_that_is_set_moves_what_is_in_the_making_with_it() {
    const HOUR: i64 = 3_600_000_000_000;
    let (alice, bob) = (process(10, 1), process(20, 2));
    for step in [30 * HOUR, -25 * HOUR] {
        let mut story = Story::new();
        story.then(&alice, "/e/before", MADE);
        story.then(&alice, "/e/during", Action::Created);
        story.time = story.time.plus_nanos(step);
        story.assembler.set_clock(step);
        // Neither is the file done, nor has either rested for a second.
        assert_eq!(story.told(), Vec::<String>::new(), "{step}");
        story.then(&alice, "/e/during", CLOSED);
        story.then(&bob, "/e/after", MADE);
        story.wait(QUIET);
        assert_eq!(
            story.told(),
            [
                "10 created /e/before",
                "10 created /e/during",
                "20 created /e/after"
            ],
            "{step}"
        );
    }
}

#[test]
fn what_rests_longer_holds_nothing_else_up() {
    let (alice, bob) = (process(10, 1), process(20, 2));
    let mut story = Story::new();
    story.then(&alice, "/d/.f.swp", MADE);
    story.then(&bob, "/d/g", MADE);
    story.wait(QUIET);
    assert_eq!(story.told(), ["20 created /d/g"]);
}

#[test]
fn a_file_that_waits_for_its_true_name_is_told_to_whoever_asks_about_it() {
    let alice = process(10, 1);
    let mut story = Story::new();
    story.then(&alice, "/a.new", MADE);
    story.then(&alice, "/b.new", MADE);
    assert!(story.assembler.take_all_settled(None).is_empty());
    let told = story.assembler.take_all_settled(Some(&"/a.new".into()));
    assert_eq!(
        told.iter().map(describe).collect::<Vec<_>>(),
        ["10 created /a.new"]
    );
    story.wait(Duration::from_secs(12));
    assert_eq!(story.told(), ["10 created /b.new"]);
}

#[test]
fn a_package_s_file_waits_for_the_end_of_a_long_run() {
    let dpkg = process(10, 1);
    let mut story = Story::new();
    story.then(&dpkg, "/c.dpkg-new", MADE);
    story.wait(Duration::from_mins(4));
    assert!(story.told().is_empty());
    story.then(&dpkg, "/c", renamed("/c.dpkg-new", true));
    story.wait(QUIET);
    assert_eq!(story.told(), ["10 replaced /c"]);
}

#[test]
fn vim_s_trial_is_nothing_and_a_file_of_its_name_is_a_file() {
    let vim = process(10, 1);
    let mut story = Story::new();
    story
        .then(&vim, "/4913", MADE)
        .then(&vim, "/4913", Action::Deleted);
    story.wait(QUIET);
    assert!(story.told().is_empty());
    story.then(&vim, "/4913", MADE).wait(QUIET + QUIET);
    assert_eq!(story.told(), ["10 created /4913"]);
}

#[test]
fn content_does_not_pile_up_with_the_changes_that_wait() {
    let alice = process(10, 1);
    let mut story = Story::new();
    let mut handed_over = 0;
    for file in 0..20 {
        let path = format!("/{file}");
        story.then(&alice, &path, MADE);
        let found = Found {
            state: FileState::default(),
            bytes: Some(vec![0; 1 << 20]),
            moved_on: false,
            identity: Identity::default(),
        };
        let captured = Captured::Found(Box::new(found));
        story
            .assembler
            .set_captured(&path.as_str().into(), captured, story.time);
        handed_over += story.assembler.take_excess().len();
    }
    assert_eq!(handed_over, 18);
    let waits = story.assembler.take_all();
    let with_content = |assembled: &Assembled| {
        let captured = assembled.captured.as_ref();
        captured.is_some_and(|captured| captured.content_len() > 0)
    };
    assert_eq!(waits.len(), 20);
    assert_eq!(waits.iter().filter(|waits| with_content(waits)).count(), 2);
}

#[test]
fn a_whiteout_stands_under_the_name_that_a_file_had() {
    let mut story = Story::new();
    let overlay = process(5, 1);
    let mut action = renamed("/etc/a", false);
    if let Action::Renamed { left, .. } = &mut action {
        *left = Left::Whiteout;
    }
    story.then(&overlay, "/etc/b", action);
    assert_eq!(
        story.all(),
        ["5 renamed from /etc/a /etc/b", "5 created /etc/a"]
    );
}

#[test]
fn closing_without_a_write_touches_no_content_and_a_write_does() {
    let mut story = Story::new();
    let touch = process(5, 1);
    story.then(&touch, "/etc/a", CLOSED);
    story.then(&touch, "/etc/b", Action::Dirtied);
    story.then(&touch, "/etc/b", CLOSED);
    let all = story.assembler.take_all();
    let touched: Vec<Touched> = all.iter().map(|assembled| assembled.touched).collect();
    assert_eq!(touched, [Touched::Attributes, Touched::Content]);
}

#[test]
fn a_file_that_was_announced_and_is_there_is_one_change() {
    let mut story = Story::new();
    let mknod = process(5, 1);
    story.then(&mknod, "/etc/a", Action::Creating);
    story.then(&mknod, "/etc/a", Action::Created);
    assert_eq!(story.all(), ["5 created /etc/a"]);
}

#[test]
fn what_is_written_after_a_file_got_its_name_belongs_to_it() {
    let mut story = Story::new();
    let writer = process(5, 1);
    story.then(&writer, "/etc/a", Action::Linked { existing: None });
    let mut write = |links| {
        let event = FileEvent {
            action: CLOSED,
            path: "/etc/#7".into(),
            inode: Some(Inode {
                links,
                size: 9,
                ..story.inode
            }),
            unnamed: true,
            description: Some(1),
        };
        let time = story.time.plus_nanos(1);
        story.assembler.observe(time, &writer, event, &|_, _| true);
    };
    write(0);
    write(1);
    let all = story.assembler.take_all();
    assert_eq!(all.len(), 1);
    assert_eq!(describe(&all[0]), "5 created /etc/a");
    assert_eq!(all[0].inode.map(|inode| inode.size), Some(9));
}

/// A content, as it was read.
fn captured(hash: &str) -> Captured {
    Captured::Found(Box::new(Found {
        state: FileState {
            hash: Some(hash.to_owned()),
            ..FileState::default()
        },
        bytes: None,
        moved_on: false,
        identity: Identity::default(),
    }))
}

#[test]
fn what_was_read_after_another_wrote_in_the_same_tick_is_not_known() {
    let (alice, bob) = (process(10, 1), process(20, 2));
    // How long after alice's change it was read, and bob told to write, in milliseconds; and what size he
    // left.
    let is_known = |read: i64, wrote: i64, size: u64| {
        let mut story = Story::new();
        story.then(&alice, "/e/f", CLOSED);
        let until = story.time.plus_nanos(read * 1_000_000);
        story
            .assembler
            .set_captured(&"/e/f".into(), captured("alice"), until);
        story.time = story.time.plus_nanos((wrote - 1) * 1_000_000);
        story.inode.size = size - 1;
        story.then(&bob, "/e/f", Action::Dirtied);
        let all = story.assembler.take_all();
        matches!(all[0].captured, Some(Captured::Found(_)))
    };
    assert!(is_known(1, 2, 1), "read before bob wrote");
    assert!(!is_known(3, 2, 1), "bob may have written it");
    assert!(is_known(3, 2, 5), "bob left another size");
}

#[test]
fn what_a_write_that_had_only_begun_left_is_not_known_after_another_s() {
    let (alice, bob) = (process(10, 1), process(20, 2));
    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    let until = story.time;
    story
        .assembler
        .set_captured(&"/e/f".into(), captured("before"), until);
    story.then(&alice, "/e/f", Action::Dirtied);
    story.through(&bob, "/e/f", CLOSED, 2);
    let all = story.assembler.take_all();
    assert!(matches!(all[0].captured, Some(Captured::Absent)));
    assert!(!all[0].writing);
}

#[test]
fn what_was_not_read_before_another_wrote_is_not_known() {
    let (alice, bob) = (process(10, 1), process(20, 2));
    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    story.then(&bob, "/e/f", CLOSED);
    let all = story.assembler.take_all();
    assert!(matches!(all[0].captured, Some(Captured::Absent)));
    assert!(all[1].captured.is_none(), "it is read when it is told");
}

#[test]
fn what_was_read_before_it_was_written_again_is_not_what_it_left() {
    let (alice, bob) = (process(10, 1), process(20, 2));
    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    story.assembler.take_touched();
    let until = story.time.plus_nanos(1);
    story
        .assembler
        .set_captured(&"/e/f".into(), captured("first"), until);
    story.then(&alice, "/e/f", CLOSED);
    story.then(&bob, "/e/f", CLOSED);
    let all = story.assembler.take_all();
    assert_eq!(all.len(), 2);
    assert!(matches!(all[0].captured, Some(Captured::Absent)));
}

#[test]
fn who_wrote_unseen_is_told_by_the_content() {
    let (alice, bob, carol) = (process(10, 1), process(20, 2), process(30, 3));
    let quiet = |story: &mut Story, who: &Who, description: u64| {
        // Neither times nor size are others.
        story.inode.size -= 1;
        story.through(who, "/e/f", CLOSED, description);
    };
    let read = |story: &mut Story, hash: &str| {
        let touched = story.assembler.take_touched();
        assert_eq!(touched, ["/e/f".into()], "it is to be read");
        story.time = story.time.plus_nanos(1);
        let until = story.time;
        story
            .assembler
            .set_captured(&touched[0], captured(hash), until);
    };
    let told = |story: &mut Story| {
        let all = story.assembler.take_all();
        let tell = |one: &Assembled| {
            let hash = one.captured.as_ref().and_then(Captured::hash);
            let doubt = one.notes.contains(&Note::SameTick);
            let doubt = if doubt { " maybe" } else { "" };
            format!("{} {}{doubt}", one.who.pid(), hash.unwrap_or("?"))
        };
        all.iter().map(tell).collect::<Vec<_>>()
    };

    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    read(&mut story, "by alice");
    quiet(&mut story, &bob, 2);
    read(&mut story, "by alice");
    assert_eq!(told(&mut story), ["10 by alice maybe"]);

    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    read(&mut story, "by alice");
    quiet(&mut story, &bob, 2);
    read(&mut story, "by bob");
    assert_eq!(told(&mut story), ["10 by alice maybe", "20 by bob"]);

    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    read(&mut story, "by alice");
    quiet(&mut story, &bob, 2);
    quiet(&mut story, &carol, 3);
    read(&mut story, "by one of them");
    assert_eq!(
        told(&mut story),
        ["10 by alice maybe", "20 by one of them maybe"]
    );

    let mut story = Story::new();
    story.then(&alice, "/e/f", CLOSED);
    quiet(&mut story, &bob, 2);
    read(&mut story, "by either");
    assert_eq!(told(&mut story), ["10 by either maybe"]);

    // Bob's write has begun, and may come after alice's.
    let mut story = Story::new();
    story.through(&bob, "/e/f", Action::Dirtied, 2);
    story.then(&alice, "/e/f", CLOSED);
    read(&mut story, "by either");
    assert_eq!(told(&mut story), ["20 ?", "10 by either maybe"]);

    // The shell that opened it for what it ran ends to hold the very description.
    let mut story = Story::new();
    story.through(&alice, "/e/f", Action::Dirtied, 1);
    quiet(&mut story, &bob, 1);
    assert_eq!(told(&mut story), ["10 ?"]);
}
