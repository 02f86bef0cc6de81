//! Killing a process that writes, at hundreds of random moments: what it told of is there.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use super::example::{alice, content, create, edit, session, text_fact};
use super::{Batch, Reader, Writer};

/// Names the store of the process that is to be killed.
const STORE: &str = "TRACER_STORE_TO_KILL";
const CHILD: &str = "store::kill::writes_until_it_is_killed";
const KILLS: u64 = 300;

/// Not a test of its own: what the killed process does.
#[test]
fn writes_until_it_is_killed() {
    let Some(store) = env::var_os(STORE) else {
        return;
    };
    let mut writer = Writer::open(Path::new(&store)).unwrap();
    for number in 1_u32.. {
        let length = usize::try_from(number * 37 % 3000 + 1).unwrap();
        let text = format!("{number} ").repeat(length);
        let seconds = i64::from(number);
        let path = format!("/etc/{}", number % 50);
        let stored = writer
            .commit(Batch {
                contents: vec![content(text.as_bytes()), content(b"x")],
                changes: vec![
                    create(&path, &text, seconds, Some(alice(number % 7))),
                    edit("/etc/same", ["x", "x"], seconds, None),
                ],
                facts: vec![text_fact(&path, &text, seconds)],
                sessions: vec![session(number % 7, 1)],
                heartbeat: Some(super::example::time(seconds)),
                ..Batch::default()
            })
            .unwrap();
        // One line in one write: what is told was committed before.
        println!("told {}", stored[1].seq);
        if number % 400 == 0 {
            writer.checkpoint().unwrap();
        }
    }
}

/// Starts a writer, kills it after a while, and gives the last change that it told of.
fn told_until_killed(store: &Path, after: Duration) -> io::Result<u64> {
    let mut child = Command::new(env::current_exe()?)
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(STORE, store)
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().expect("it is piped");
    let reader = thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let told = lines.filter_map(|line| line.strip_prefix("told ")?.parse().ok());
        told.last().unwrap_or(0)
    });
    let end = Instant::now() + after;
    thread::sleep(end.saturating_duration_since(Instant::now()));
    child.kill()?;
    child.wait()?;
    Ok(reader.join().expect("it only reads"))
}

#[test]
fn what_was_told_is_there_after_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("tracer.db");
    drop(Writer::open(&store).unwrap());
    let (mut told, mut seed, mut busy) = (0, 1u64, 0);
    for kill in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let after = Duration::from_micros(10_000 + (seed >> 33) % 40_000);
        let last = told_until_killed(&store, after).unwrap();
        busy += u64::from(last > 0);
        told = told.max(last);
        let reader = Reader::open(&store).unwrap();
        let found = reader.last_seq().unwrap();
        assert!(
            found >= told,
            "kill {kill}: {told} was told, and {found} is the last"
        );
        assert_eq!(found % 2, 0, "kill {kill}: half a batch is there");
        if kill % 25 == 0 || kill + 1 == KILLS {
            let body = reader.verify(None).unwrap();
            assert!(
                body.intact && body.changes == found,
                "kill {kill}: {body:?}"
            );
        }
    }
    assert!(
        busy > KILLS / 2,
        "only {busy} of {KILLS} were killed while they wrote"
    );
}
