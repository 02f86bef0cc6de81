//! Drift, from what hosts send to what the command line tells: rules, baselines, exceptions, events and reversals.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong here is a test that fails"
)]

#[path = "drift/fleet.rs"]
mod fleet;

use std::fs;
use std::sync::Arc;

use change::{Actor, Author, FactValue, FileState, FileType, Kind, Op, RenamedFrom};
use fleet::{AGO, Fleet, set, version};
use serde_json::Value;
use simulation::deeds::{automation, change, person};
use simulation::inventory::{attributes, file, setting, subject};
use simulation::truths;

/// The first rule of these tests: all have the libc6 of the lists.
const LIBC: &str = "[[expect]]\nname = \"libc\"\nthat = \"package:libc6 == 2.36-9+deb12u14 on role=db\"\n\
                    owner = \"dba\"\n";

fn subjects(answer: &Value) -> Vec<String> {
    let drifts = answer["drifts"].as_array().unwrap();
    let key = |one: &Value| one["subject"]["key"].as_str().unwrap().to_owned();
    drifts.iter().map(key).collect()
}

fn names(hosts: &Value) -> Vec<String> {
    let name = |host: &Value| host["hostname"].as_str().unwrap().to_owned();
    hosts.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn what_is_not_as_expected_is_told_with_who_did_it_and_becomes_one_event_until_it_ends() {
    let fleet = Fleet::of(4);
    let mut follower = fleet.follower(LIBC);
    assert_eq!(fleet.ask(&["drift"]).code, 1);
    let (upgrade, run) = truths::libc_upgrade("alice", fleet.time(60));
    let batch = fleet.log_with(2, upgrade, vec![run], 61);
    fleet.pass(&mut follower, 61);
    // The same batch again, and a pass with nothing new.
    fleet.send(2, &batch, 62);
    fleet.pass(&mut follower, 62);

    let answer = fleet.json(&["drift", "--group", "role=db"]);
    assert_eq!(
        (answer["hosts"].as_u64(), answer["drifting"].as_u64()),
        (Some(4), Some(1))
    );
    let first = &answer["drifts"][0];
    assert_eq!(first["subject"]["key"], "libc6");
    assert_eq!(first["value"]["version"], truths::BAD_LIBC);
    assert_eq!(
        (&first["rule"], &first["owner"]),
        (&"libc".into(), &"dba".into())
    );
    assert_eq!(names(&first["hosts"]), ["n2"]);
    let brought = &first["opening"];
    assert_eq!(brought["change"]["actor"]["login_user"]["name"], "alice");
    assert_eq!(brought["run"]["tool"], "apt");
    assert_eq!(fleet.ask(&["drift", "--host", "n1"]).code, 1);

    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!(
        (&event["kind"], &event["cause"]),
        (&"drift".into(), &"change".into())
    );
    assert_eq!(event["change"]["actor"]["login_user"]["name"], "alice");
    assert_eq!(event["run"]["id"], 7);
    assert_eq!(
        (&event["ended"], &event["began"]),
        (&Value::Null, &event["change"]["time"])
    );

    let back = [truths::BAD_LIBC, truths::GOOD_LIBC].map(|wanted| Some(version(wanted)));
    let actor = person("bob", "apt install libc6=2.36-9+deb12u14", fleet.time(90));
    let libc = subject(Kind::Package, "libc6");
    let downgrade = change(libc, Op::Downgrade, back, fleet.time(90), Some(&actor));
    fleet.log(2, vec![downgrade], 91);
    fleet.pass(&mut follower, 91);
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!(
        (events.len(), &events[0]["ended_by"]),
        (1, &"change".into())
    );
    assert_eq!(
        events[0]["end_change"]["actor"]["login_user"]["name"],
        "bob"
    );
    assert_eq!(fleet.ask(&["drift"]).code, 1);
    assert_eq!(fleet.ask(&["drift", "--events", "--host", "n1"]).code, 1);
}

#[test]
fn what_drifted_and_was_made_good_within_one_batch_did_happen() {
    let fleet = Fleet::of(3);
    let mut follower = fleet.follower(
        "[[expect]]\nthat = \"sysctl:vm.swappiness in 1..60\"\n[[expect]]\n\
                        that = \"sysctl:vm.swappiness in 1..60 on role=db\"\nlasting = \"1h\"\n",
    );
    let changes = vec![
        set("vm.swappiness", ["60", "100"], fleet.time(10), "alice"),
        set("vm.swappiness", ["100", "90"], fleet.time(11), "alice"),
        set("vm.swappiness", ["90", "60"], fleet.time(12), "bob"),
    ];
    fleet.log(1, changes, 100);
    fleet.pass(&mut follower, 100);
    // The other rule tells only of what lasts.
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["value"]["value"], "100");
    assert_eq!(events[0]["change"]["seq"], 1);
    assert_eq!(events[0]["end_change"]["seq"], 3);
    assert_eq!(fleet.lines(&["drift", "--events", "--all"]).len(), 2);
}

#[test]
fn a_majority_is_held_against_each_subgroup_and_what_it_turns_to_is_told_apart() {
    let mut fleet = Fleet::of(6);
    for number in 4..=6 {
        fleet.label(number, "pool", "canary");
    }
    for number in 1..=3 {
        fleet.label(number, "pool", "stable");
    }
    let mut follower = fleet.follower(
        "[[baseline]]\non = \"role=db\"\neach = \"pool\"\nlike = \"majority\"\nonly = [\"sysctl:vm.*\"]\n",
    );
    // All canaries are set otherwise: among themselves they are alike.
    for number in 4..=6 {
        let time = fleet.time(10);
        fleet.log(
            number,
            vec![set("vm.swappiness", ["60", "10"], time, "alice")],
            11,
        );
    }
    let time = fleet.time(20);
    fleet.log(
        1,
        vec![set("vm.swappiness", ["60", "5"], time, "carol")],
        21,
    );
    fleet.pass(&mut follower, 21);
    let answer = fleet.json(&["drift"]);
    assert_eq!(subjects(&answer), ["vm.swappiness"], "{answer:#}");
    let first = &answer["drifts"][0];
    assert_eq!(
        (names(&first["hosts"]), &first["expected"]["value"]),
        (vec!["n1".to_owned()], &"60".into())
    );
    // Among all six there is no majority; among those of a label there is.
    let against = |group: &str| {
        let args = ["drift", "--against", "majority", "--group", group, "--all"];
        let answer = fleet.json(&args);
        subjects(&answer).contains(&"vm.swappiness".to_owned())
    };
    let groups = ["pool=stable", "pool=canary", "role=db"];
    assert_eq!(groups.map(against), [true, false, false]);
    // Another one follows: now it is the one that was not touched that deviates, and nobody did that to it.
    let time = fleet.time(30);
    fleet.log(
        2,
        vec![set("vm.swappiness", ["60", "5"], time, "carol")],
        31,
    );
    fleet.pass(&mut follower, 31);
    let answer = fleet.json(&["drift"]);
    assert_eq!(names(&answer["drifts"][0]["hosts"]), ["n3"], "{answer:#}");
    let events = fleet.lines(&["drift", "--events"]);
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let word = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
            (
                event["host"]["hostname"].as_str().unwrap().to_owned(),
                word("cause"),
                word("ended_by"),
            )
        })
        .collect();
    let expected = [("n3", "baseline", "-"), ("n1", "change", "baseline")];
    let expected =
        expected.map(|(host, cause, end)| (host.to_owned(), cause.to_owned(), end.to_owned()));
    assert_eq!(told.len(), 2, "{events:#?}");
    assert!(expected.iter().all(|one| told.contains(one)), "{told:?}");
}

#[test]
fn a_host_a_snapshot_and_yesterday_are_baselines_too() {
    let fleet = Fleet::of(3);
    let yesterday = fleet.time(-20 * 60);
    let changes = vec![set("vm.swappiness", ["60", "1"], yesterday, "alice")];
    fleet.log(1, changes, -20 * 60);
    let at = fleet.time(-10 * 60).to_string();
    assert_eq!(
        fleet
            .ask(&["snapshot", "golden", "--group", "role=db", "--at", &at])
            .code,
        0
    );
    let time = fleet.time(10);
    fleet.log(2, vec![set("vm.swappiness", ["60", "2"], time, "bob")], 11);

    let against = |baseline: &str| fleet.json(&["drift", "--against", baseline]);
    // Against the first host both others deviate, each in its way; names and keys are set aside.
    let host = against("host:n1");
    assert_eq!(
        subjects(&host)
            .iter()
            .filter(|key| *key == "vm.swappiness")
            .count(),
        2,
        "{host:#}"
    );
    assert!(host["noise"].as_u64() > Some(0), "{host:#}");
    let snapshot = against("snapshot:golden");
    assert_eq!(subjects(&snapshot), ["vm.swappiness"], "{snapshot:#}");
    assert_eq!(names(&snapshot["drifts"][0]["hosts"]), ["n2"]);
    assert_eq!(snapshot["drifts"][0]["expected"]["value"], "60");
    // The host's clock and this one's are the same here: 20 hours ago is within a day.
    let day = against("yesterday");
    assert_eq!(day["drifting"], 2, "{day:#}");
    let time = fleet.time(-19 * 60).to_string();
    assert_eq!(names(&against(&time)["drifts"][0]["hosts"]), ["n2"]);

    let rules = "[[baseline]]\non = \"role=db\"\nlike = \"snapshot:golden\"\n[[baseline]]\non = \"role=db\"\n\
                 like = \"host:n3\"\nonly = [\"sysctl:vm.*\"]\n";
    let mut follower = fleet.follower(rules);
    let time = fleet.time(20);
    fleet.log(3, vec![set("vm.swappiness", ["60", "2"], time, "bob")], 21);
    fleet.pass(&mut follower, 21);
    let events = fleet.lines(&["drift", "--events"]);
    let open = |rule: &str| {
        let of_rule = events.iter().filter(|event| {
            event["rule"].as_str().unwrap().starts_with(rule) && event["ended"].is_null()
        });
        let mut hosts: Vec<_> = of_rule
            .map(|event| event["host"]["hostname"].as_str().unwrap())
            .collect();
        hosts.sort_unstable();
        hosts.join(" ")
    };
    assert_eq!(
        (open("snapshot").as_str(), open("host").as_str()),
        ("n2 n3", "n1"),
        "{events:#?}"
    );
    // The second host was found to deviate from the reference, and is like it since that one was changed.
    let ended = events
        .iter()
        .find(|event| event["ended_by"] == "baseline")
        .unwrap();
    assert_eq!(ended["host"]["hostname"], "n2");
}

#[test]
fn an_exception_has_its_time_and_what_it_excepted_comes_back() {
    let fleet = Fleet::of(3);
    let exception = |host: &str, until: &str| {
        format!(
            "[[except]]\nsubject = \"sysctl:vm.*\"\nhosts = [\"{host}\"]\nreason = \"experiment 12\"\n\
             owner = \"alice\"\nuntil = {until}\n"
        )
    };
    let rules = [
        "[[expect]]\nthat = \"sysctl:vm.swappiness == 60\"\n".to_owned(),
        exception("n1", "2200-01-01"),
        exception("n2", "2020-01-01"),
    ];
    let mut follower = fleet.follower(&rules.concat());
    for number in 1..=2 {
        let time = fleet.time(10);
        fleet.log(
            number,
            vec![set("vm.swappiness", ["60", "1"], time, "alice")],
            11,
        );
    }
    fleet.pass(&mut follower, 11);
    let answer = fleet.json(&["drift"]);
    assert_eq!(
        (&answer["drifting"], &answer["excepted"]),
        (&1.into(), &1.into())
    );
    let drifts = answer["drifts"].as_array().unwrap();
    assert_eq!(
        (drifts.len(), names(&drifts[0]["hosts"])),
        (1, vec!["n2".to_owned()])
    );
    let expired = &drifts[0]["exception"];
    assert_eq!(
        (&expired["owner"], &expired["expired"]),
        (&"alice".into(), &true.into())
    );
    let all = fleet.json(&["drift", "--all"]);
    assert_eq!(all["drifts"][1]["status"], "excepted", "{all:#}");
    assert_eq!(all["drifts"][1]["exception"]["reason"], "experiment 12");
    assert_eq!(fleet.ask(&["drift", "--host", "n1"]).code, 1);
    assert_eq!(fleet.lines(&["drift", "--events"]).len(), 1);
    assert_eq!(fleet.lines(&["drift", "--events", "--all"]).len(), 2);
    let words = fleet.ask(&["drift", "--all"]).stdout;
    assert!(words.contains("! the exception of alice ended"), "{words}");
    assert!(
        words.contains("excepted by alice until 2200-01-02 00:00"),
        "{words}"
    );
}

#[test]
fn what_is_not_known_is_never_told_to_be_fine() {
    let mut fleet = Fleet::of(3);
    fleet.bare(4);
    let time = fleet.time(-60);
    fleet.log(
        3,
        vec![set("vm.swappiness", ["60", "61"], time, "alice")],
        -60,
    );
    let rules = "[[expect]]\nthat = \"sysctl:vm.swappiness == 60\"\n[[expect]]\nthat = \"package:telnetd absent\"\n\
                 [[expect]]\nthat = \"/srv/data/keep present\"\n[[baseline]]\non = \"role=none\"\n\
                 like = \"host:n9\"\n[[baseline]]\non = \"all\"\nlike = \"snapshot:none\"\n";
    let path = fleet.rules(rules);
    let stale = fleet.time(-60 * 60 - 1).to_string();
    let answer = fleet.json(&["--stale-before", &stale, "drift", "--rules", &path]);
    assert_eq!(
        (&answer["hosts"], &answer["drifting"]),
        (&4.into(), &1.into()),
        "{answer:#}"
    );
    let unknown = answer["unknown"].as_array().unwrap();
    let told = |rule: &str| {
        let found = unknown
            .iter()
            .filter(|one| one["rule"].as_str().unwrap().contains(rule));
        let found: Vec<_> = found
            .map(|one| (one["reason"].as_str().unwrap(), names(&one["hosts"])))
            .collect();
        format!("{found:?}")
    };
    let kind =
        |kind: &str| format!(r#"[("nothing is known of subjects of the kind `{kind}`", ["n4"])]"#);
    assert_eq!(told("swappiness"), kind("sysctl"));
    assert_eq!(told("telnetd"), kind("package"));
    let folder = r#"[("nothing is known of files in that folder", ["n1", "n2", "n3", "n4"])]"#;
    assert_eq!(told("/srv/data"), folder);
    assert_eq!(answer["idle"].as_array().unwrap().len(), 1, "{answer:#}");
    assert!(
        told("snapshot:none").contains("there is no snapshot `none`"),
        "{unknown:#?}"
    );

    // One that deviates and has stopped reporting since is not told to deviate either.
    let stale = fleet.time(1).to_string();
    let answer = fleet.json(&["--stale-before", &stale, "drift", "--rules", &path]);
    assert_eq!(
        (&answer["hosts"], &answer["drifting"]),
        (&0.into(), &0.into()),
        "{answer:#}"
    );
    let words = fleet.ask(&["--stale-before", &stale, "drift", "--rules", &path]);
    assert_eq!(words.code, 0);
    assert!(
        words
            .stdout
            .contains("? on 4 (n1, n2, n3, n4): it has stopped reporting"),
        "{}",
        words.stdout
    );
}

#[test]
fn a_stale_host_s_drift_goes_on_and_a_replaced_one_s_ends() {
    let mut fleet = Fleet::of(3);
    let rules = "[[baseline]]\non = \"role=db\"\nlike = \"majority\"\nonly = [\"sysctl:vm.*\"]\n";
    let mut follower = fleet.follower(rules);
    let time = fleet.time(10);
    fleet.log(
        1,
        vec![set("vm.swappiness", ["60", "1"], time, "alice")],
        11,
    );
    fleet.pass(&mut follower, 11);
    // An hour later all are stale, and nothing is known: nothing ends.
    fleet.pass_alone(&mut follower, 80);
    assert_eq!(fleet.lines(&["drift", "--events"])[0]["ended"], Value::Null);
    // It was installed anew, with another log.
    fleet.reinstall(1, 90);
    fleet.pass(&mut follower, 90);
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!(
        (events.len(), &events[0]["ended_by"]),
        (1, &"left".into()),
        "{events:#?}"
    );
}

/// What somebody does to a sysctl, as sort of author.
fn by(actor: &Arc<Actor>, values: [&str; 2], time: change::Timestamp) -> change::Change {
    let values = values.map(|value| Some(setting(value)));
    change(
        subject(Kind::Sysctl, "vm.swappiness"),
        Op::Set,
        values,
        time,
        Some(actor),
    )
}

#[test]
fn automation_that_undoes_a_person_and_the_other_way_round_are_told_with_both_changes() {
    let fleet = Fleet::of(5);
    let mut follower = fleet.follower("[undone]\nwithin = \"2d\"\n");
    let time = |minutes| fleet.time(minutes);
    let alice = |minutes| person("alice", "sysctl -w vm.swappiness=1", time(minutes));
    let puppet = |minutes| automation(time(minutes));
    let apt = Arc::new(Actor {
        by: Some(Author::PackageManager),
        ..Arc::unwrap_or_clone(puppet(30))
    });
    // In two steps by a person, and both are undone.
    let undone = vec![
        by(&alice(10), ["60", "10"], time(10)),
        by(&alice(11), ["10", "1"], time(11)),
        by(&puppet(30), ["1", "60"], time(30)),
    ];
    let overwritten = vec![
        by(&alice(10), ["60", "10"], time(10)),
        by(&puppet(30), ["10", "30"], time(30)),
    ];
    let by_person = vec![
        by(&puppet(10), ["60", "30"], time(10)),
        by(&alice(20), ["30", "60"], time(20)),
    ];
    // A person who goes on from what automation did, and a package manager, which is neither.
    let fine = vec![
        by(&puppet(10), ["60", "30"], time(10)),
        by(&alice(20), ["30", "20"], time(20)),
        by(&apt, ["20", "30"], time(30)),
    ];
    let too_late = vec![
        by(&alice(-49 * 60), ["60", "10"], time(-49 * 60)),
        by(&puppet(10), ["10", "60"], time(10)),
    ];
    for (number, changes) in (1..).zip([undone, overwritten, by_person, fine, too_late]) {
        fleet.log(number, changes, 40);
    }
    fleet.pass(&mut follower, 40);
    fleet.pass(&mut follower, 41);
    let events = fleet.lines(&["drift", "--events"]);
    let mut told: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event["kind"], "reversal", "{event:#}");
            let host = event["host"]["hostname"].as_str().unwrap();
            let seq = |name: &str| event[name]["seq"].as_u64().unwrap();
            (
                host,
                event["way"].as_str().unwrap(),
                seq("undone"),
                seq("by"),
            )
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("n1", "undone", 1, 3),
            ("n2", "overwritten", 1, 2),
            ("n3", "undone", 1, 2)
        ]
    );
    let words = fleet.ask(&["drift", "--events", "--host", "n1"]).stdout;
    assert!(
        words.contains(
            "sysctl:vm.swappiness: root with puppet UNDID what alice had done: 60 → 10 → 60"
        ),
        "{words}"
    );
    // One that is undone by a later batch.
    let time = fleet.time(60);
    let later = vec![by(&person("bob", "x", time), ["60", "5"], time)];
    fleet.log(1, later, 61);
    fleet.pass(&mut follower, 61);
    let time = fleet.time(70);
    fleet.log(1, vec![by(&automation(time), ["5", "60"], time)], 71);
    fleet.pass(&mut follower, 71);
    assert_eq!(fleet.lines(&["drift", "--events", "--host", "n1"]).len(), 2);
}

#[test]
fn what_a_person_takes_away_and_automation_brings_back_is_told_too() {
    let fleet = Fleet::of(1);
    let mut follower = fleet.follower("");
    let by = |values: [Option<&str>; 2], actor: &Arc<Actor>, minutes| {
        let values = values.map(|value| value.map(setting));
        let what = subject(Kind::Sysctl, "kernel.own");
        change(what, Op::Set, values, fleet.time(minutes), Some(actor))
    };
    let puppet = |minutes| automation(fleet.time(minutes));
    let steps = vec![
        by([None, Some("1")], &puppet(41), 41),
        by([Some("1"), None], &person("carol", "x", fleet.time(42)), 42),
        by([None, Some("1")], &puppet(43), 43),
    ];
    fleet.log(1, steps, 44);
    fleet.pass(&mut follower, 44);
    let events = fleet.lines(&["drift", "--events"]);
    let told = events
        .iter()
        .map(|event| (&event["way"], &event["undone"]["seq"]));
    // She undid what automation had done, and it undid that.
    let expected = [(&"undone".into(), &2.into()), (&"undone".into(), &1.into())];
    assert_eq!(told.collect::<Vec<_>>(), expected, "{events:#?}");
}

#[test]
fn rules_are_checked_and_all_that_is_wrong_is_told_by_its_line() {
    let fleet = Fleet::of(1);
    let path = fleet.rules(
        "[[expect]]\nthat = \"package:libc6 = 1\"\n[[baseline]]\non = \"all\"\nlike = \"best\"\n",
    );
    let said = fleet.ask(&["check-rules", &path]);
    assert_eq!(said.code, 2);
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", said.stderr);
    assert!(
        lines[0].contains("line 2: `=` (character 15) is no test"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("line 5: `best` is no baseline"),
        "{}",
        lines[1]
    );
    for command in [
        &["drift", "--rules", &path][..],
        &["serve", "--listen", "127.0.0.1:0", "--rules", &path],
    ] {
        let said = fleet.ask(command);
        assert_eq!(said.code, 2, "{command:?}: {}", said.stderr);
        assert!(said.stderr.contains("line 2: "), "{}", said.stderr);
        assert!(
            said.stderr
                .contains("and 1 more; `tracer-collector check-rules`"),
            "{}",
            said.stderr
        );
    }
    let path = fleet.rules(LIBC);
    let checked = fleet.json(&["check-rules", &path]);
    assert_eq!(
        (&checked["expectations"], &checked["exceptions"]),
        (&1.into(), &0.into())
    );
    assert_eq!(fleet.ask(&["check-rules", "/nowhere/rules.toml"]).code, 4);
    for (wrong, said) in [
        (&["drift"][..], "no rules are in force"),
        (
            &["drift", "--against", "majorty"],
            "other baselines are `majority`",
        ),
        (&["drift", "--against", "host:n9"], "no host is called `n9`"),
        (
            &["drift", "--against", "snapshot:x"],
            "no snapshot is called `x`",
        ),
        (&["drift", "--group", "db"], "`db` is no group"),
        (
            &["drift", "--events", "--against", "majority"],
            "cannot be used with",
        ),
    ] {
        let answer = fleet.ask(wrong);
        assert_eq!(answer.code, 2, "{wrong:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(said), "{wrong:?}: {}", answer.stderr);
    }
}

#[test]
fn the_documented_rules_are_rules() {
    let fleet = Fleet::of(1);
    let page = include_str!("../../docs/collector.md");
    let (_, behind) = page.split_once("```toml\n").unwrap();
    let (example, _) = behind.split_once("```").unwrap();
    let checked = fleet.json(&["check-rules", &fleet.rules(example)]);
    assert_eq!(
        (&checked["baselines"], &checked["exceptions"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn rules_that_go_end_their_drift_and_rules_that_come_find_what_was_there() {
    let fleet = Fleet::of(3);
    let (upgrade, run) = truths::libc_upgrade("alice", fleet.time(-10));
    fleet.log_with(2, upgrade, vec![run], -9);
    let mut follower = fleet.follower(LIBC);
    fleet.pass(&mut follower, 12);
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!((events.len(), &events[0]["cause"]), (1, &"look".into()));
    // It was found later than it came, and both are told.
    assert_eq!(events[0]["change"]["actor"]["login_user"]["name"], "alice");
    assert!(events[0]["began"].as_str() > events[0]["since"].as_str());
    fleet.rules("[[expect]]\nthat = \"package:libc6 present\"\n");
    fleet.pass(&mut follower, 13);
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!((events.len(), &events[0]["ended_by"]), (1, &"rules".into()));
    // A file that is wrong changes nothing.
    fleet.rules("[[expect]]\nthat = \"libc6\"\n");
    fleet.pass(&mut follower, 14);
    assert_eq!(fleet.ask(&["drift"]).code, 1);
}

#[test]
fn a_snapshot_is_made_listed_compared_with_and_removed() {
    let fleet = Fleet::of(2);
    let made = fleet.json(&[
        "snapshot",
        "before the upgrade",
        "--host",
        "n1",
        "--note",
        "ticket 7",
    ]);
    assert_eq!(
        (&made["count"], &made["note"]),
        (&1.into(), &"ticket 7".into())
    );
    let listed = fleet.lines(&["snapshots"]);
    assert_eq!(
        (listed.len(), &listed[0]["name"]),
        (1, &"before the upgrade".into())
    );
    let same = ["compare", "n1", "--snapshot", "before the upgrade"];
    assert_eq!(fleet.ask(&same).code, 1);
    let (upgrade, run) = truths::libc_upgrade("alice", fleet.now_time(1));
    fleet.log_with(1, upgrade, vec![run], AGO + 2);
    let compared = fleet.json(&same);
    assert_eq!(
        compared["differences"][0]["subject"]["key"], "libc6",
        "{compared:#}"
    );
    for (wrong, said) in [
        (
            &["compare", "n2", "--snapshot", "before the upgrade"][..],
            "`n2` is not in the snapshot",
        ),
        (
            &["compare", "n1", "--snapshot", "after"],
            "no snapshot is called `after`",
        ),
        (
            &["snapshot", "before the upgrade"],
            "there is one of that name",
        ),
        (
            &["snapshot", "early", "--at", "2020-01-01"],
            "is known from",
        ),
        (&["snapshot", "late", "--at", "2200-01-01"], "still to come"),
        (&["snapshot", ""], "1 to 255 bytes"),
        (
            &["snapshot", "none", "--group", "role=web"],
            "no host has the label",
        ),
        (
            &["snapshot", "after", "--remove"],
            "no snapshot is called `after`",
        ),
    ] {
        let answer = fleet.ask(wrong);
        assert_eq!(answer.code, 2, "{wrong:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(said), "{wrong:?}: {}", answer.stderr);
    }
    // What it names stays.
    let tidied = fleet.json(&["tidy", "--before", "now"]);
    assert_eq!(tidied["horizon"], made["at"], "{tidied:#}");
    assert_eq!(fleet.json(&same), compared);
    assert_eq!(
        fleet
            .ask(&["snapshot", "before the upgrade", "--remove"])
            .code,
        0
    );
    assert_eq!(fleet.ask(&["snapshots"]).code, 1);
}

#[test]
fn the_server_follows_and_reads_its_rules_anew() {
    let fleet = Fleet::of(3);
    let path = fleet.rules(LIBC);
    let server = fleet.serve(&path);
    fleet.wait_until(|fleet| fleet.ask(&["drift"]).code == 1);
    let (upgrade, run) = truths::libc_upgrade("alice", fleet.now_time(0));
    fleet.log_with(2, upgrade, vec![run], AGO);
    fleet.wait_until(|fleet| fleet.ask(&["drift", "--events"]).code == 0);
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!(events[0]["change"]["actor"]["login_user"]["name"], "alice");
    let replaced = format!("{path}.new");
    fs::write(
        &replaced,
        "[[expect]]\nthat = \"package:libc6 absent on role=db\"\n",
    )
    .unwrap();
    fs::rename(&replaced, &path).unwrap();
    fleet.wait_until(|fleet| fleet.lines(&["drift", "--events"]).len() == 4);
    drop(server);
    // Without rules nothing drifts; what has was.
    let server = fleet.serve_without_rules();
    fleet.wait_until(|fleet| fleet.ask(&["drift"]).code == 2);
    fleet.wait_until(|fleet| {
        fleet
            .lines(&["drift", "--events"])
            .iter()
            .all(|event| !event["ended"].is_null())
    });
    drop(server);
}

/// A directory, or what is said of one.
fn directory() -> FactValue {
    FactValue::File(FileState {
        file_type: FileType::Directory,
        mode: "0755".to_owned(),
        ..FileState::default()
    })
}

#[test]
fn what_no_change_tells_of_is_found_by_looking_through_all() {
    let mut fleet = Fleet::of(1);
    let rules = "[[expect]]\nthat = \"/etc/shop/a.conf present on role=db\"\n[[expect]]\n\
                 that = \"sysctl:vm.swappiness == 61 on role=db\"\nname = \"swappiness\"\n";
    let (time, actor) = (
        fleet.time(-10),
        person("alice", "mv shop store", fleet.time(-10)),
    );
    let file_of = |path: &str| subject(Kind::File, path);
    let made =
        |path: &str, after| change(file_of(path), Op::Create, [None, after], time, Some(&actor));
    let content = Some(file("/etc/shop/a.conf", "text"));
    let changes = vec![
        set("vm.swappiness", ["60", "61"], time, "alice"),
        made("/etc/shop", Some(directory())),
        made("/etc/shop/a.conf", content),
    ];
    fleet.log(1, changes, -9);
    let mut follower = fleet.follower(rules);
    assert_eq!(fleet.ask(&["drift", "--events"]).code, 1);
    // With its directory the file goes to another name, and the log has one change, of the directory.
    let moved = [Some(directory()), Some(directory())];
    let mut moved = change(
        file_of("/etc/store"),
        Op::Rename,
        moved,
        fleet.time(10),
        Some(&actor),
    );
    moved.from = Some(RenamedFrom("/etc/shop".into()));
    fleet.log(1, vec![moved], 11);
    fleet.pass(&mut follower, 11);
    let events = fleet.lines(&["drift", "--events"]);
    assert_eq!(
        (events.len(), &events[0]["cause"]),
        (1, &"look".into()),
        "{events:#?}"
    );
    assert_eq!(events[0]["subject"]["key"], "/etc/shop/a.conf");
    // Of a host that is new all is known from its first facts.
    fleet.join(2, 20);
    fleet.pass(&mut follower, 20);
    let events = fleet.lines(&["drift", "--events", "--host", "n2"]);
    let told: Vec<_> = events
        .iter()
        .map(|event| (&event["rule"], &event["cause"]))
        .collect();
    assert_eq!(
        told,
        [(&"swappiness".into(), &"look".into())],
        "{events:#?}"
    );
    let unknown = fleet.json(&["drift", "--host", "n2"]);
    assert_eq!(unknown["unknown"][0]["count"], 1, "{unknown:#}");
}

#[test]
fn one_host_that_was_set_up_otherwise_is_one_line_and_values_of_files_are_told_with_it() {
    let fleet = Fleet::of(5);
    let mut changes = Vec::new();
    for key in ["vm.swappiness", "vm.dirty_ratio", "vm.overcommit_ratio"] {
        changes.push(set(key, ["60", "7"], fleet.time(10), "alice"));
    }
    let gone = [
        Some(attributes(&[
            ("version", "3.0.19-1~deb12u2"),
            ("arch", "amd64"),
        ])),
        None,
    ];
    let actor = person("alice", "apt remove openssl", fleet.time(11));
    changes.push(change(
        subject(Kind::Package, "openssl"),
        Op::Remove,
        gone,
        fleet.time(11),
        Some(&actor),
    ));
    fleet.log(3, changes, 12);
    let answer = fleet.json(&["drift", "--against", "majority"]);
    let line = answer["drifts"].as_array().unwrap().iter();
    let line = line
        .into_iter()
        .find(|line| names(&line["hosts"]) == ["n3"])
        .unwrap();
    assert_eq!(
        (&line["subject"]["key"], &line["value"]),
        (&"openssl".into(), &Value::Null)
    );
    assert!(line["also"].as_array().unwrap().len() >= 3, "{line:#}");
}
