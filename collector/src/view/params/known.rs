//! All parameters that any question takes.

use change::{Author, Kind, Op, RunKind};

use super::{Param, Takes};

const fn optional(name: &'static str, takes: Takes, about: &'static str) -> Param {
    Param {
        name,
        takes,
        is_required: false,
        about,
        example: None,
    }
}

const fn required(name: &'static str, takes: Takes, about: &'static str) -> Param {
    Param {
        is_required: true,
        ..optional(name, takes, about)
    }
}

const fn number(usual: u32) -> Param {
    let takes = Takes::Number {
        from: 1,
        to: 1000,
        usual,
    };
    optional("n", takes, "At most so many")
}

pub(in crate::view) const TEN: Param = number(10);
pub(in crate::view) const HUNDRED: Param = number(100);
pub(in crate::view) const HOST: Param = optional(
    "host",
    Takes::Text,
    "Only on this host: its name or machine id",
)
.like("n1");
pub(in crate::view) const ONE: Param =
    required("host", Takes::Text, "The one host: its name or machine id").like("n1");
pub(in crate::view) const OTHER: Param = optional(
    "other",
    Takes::Text,
    "The other host; without it the one is compared with itself at `since`",
)
.like("n2");
pub(in crate::view) const GROUP: Param = optional(
    "group",
    Takes::Text,
    "Only on hosts with this label, as `role=db`; `all` is every host",
)
.like("role=db");
pub(in crate::view) const OF_GROUP: Param = required(
    "group",
    Takes::Text,
    "The hosts with this label, as `role=db`, or `all`",
)
.like("role=db");
pub(in crate::view) const PAST: Param =
    optional("past", Takes::Flag, "Also hosts that were replaced");
pub(in crate::view) const STALE_BEFORE: Param = optional(
    "stale_before",
    Takes::Time,
    "Hosts that have not reported since are stale; without it those silent for 15 minutes",
)
.like("2026-11-01T00:00:00Z");
pub(in crate::view) const AT: Param = optional("at", Takes::Time, "The hosts as they were then");
pub(in crate::view) const BROKE: Param =
    required("at", Takes::Time, "When it broke").like("2026-11-21T14:03:00Z");
pub(in crate::view) const FORMERLY: Param = optional(
    "since",
    Takes::Time,
    "The one host with what it was then; not together with `other`",
)
.like("2026-11-20T00:00:00Z");
pub(in crate::view) const SINCE: Param =
    optional("since", Takes::Time, "Not before this time").like("2026-11-21T00:00:00Z");
pub(in crate::view) const UNTIL: Param = optional("until", Takes::Time, "Before this time");
pub(in crate::view) const NOISE: Param = optional(
    "noise",
    Takes::Texts,
    "Sets aside what matches this as well, written like a subject: `sysctl:net.*`, `/etc/motd.d/**`",
).like("/etc/motd.d/**");
pub(in crate::view) const ALL: Param =
    optional("all", Takes::Flag, "Also what was set aside as noise");
pub(in crate::view) const BAD: Param = required(
    "bad",
    Takes::Text,
    "The hosts that misbehave, with commas between, or a label as `pool=canary`",
)
.like("n1,n2");
pub(in crate::view) const GOOD: Param = required(
    "good",
    Takes::Text,
    "The hosts that do not, or a label; the bad ones of a label are taken out of it",
)
.like("role=db");
pub(in crate::view) const WINDOW: Param = optional(
    "window_hours",
    Takes::Hours {
        to: 8784.0,
        usual: 2.0,
    },
    "How many hours before that to look at",
);
pub(in crate::view) const SUBJECT: Param = required(
    "subject",
    Takes::Text,
    "What, as an absolute path or `kind:key`",
)
.like("package:libc6");
pub(in crate::view) const KIND: Param =
    optional("kind", Takes::Word(kinds), "Of this kind of subject");
pub(in crate::view) const OP: Param = optional("op", Takes::Word(ops), "With this op");
pub(in crate::view) const USER: Param = optional(
    "user",
    Takes::Text,
    "By this person, who logged in or else was acted as",
)
.like("alice");
pub(in crate::view) const BY: Param =
    optional("by", Takes::Word(authors), "By this sort of author");
pub(in crate::view) const PATH: Param = optional(
    "path",
    Takes::Text,
    "Of files whose path matches: `*` stays within a folder, `**` does not; not together with `kind`",
).like("/etc/**");
pub(in crate::view) const PACKAGE: Param = optional(
    "package",
    Takes::Text,
    "Of packages whose name matches, and of the files that belonged to one",
)
.like("nginx*");
pub(in crate::view) const CURSOR: Param = optional(
    "cursor",
    Takes::Text,
    "Goes on behind a page: what its `next` says",
)
.like("1795000000000000000.1.7");

pub(in crate::view) const TWO_HUNDRED: Param = number(200);
pub(in crate::view) const RUN_KIND: Param =
    optional("kind", Takes::Word(run_kinds), "Of this kind of run");
pub(in crate::view) const CHANGED: Param = optional(
    "changed",
    Takes::Flag,
    "Only those that changed something themselves",
);
pub(in crate::view) const RUN: Param =
    required("id", Takes::Id, "The run's number on the host").like("1");
pub(in crate::view) const SESSION: Param = required(
    "id",
    Takes::Id,
    "The session's number on the host; of several with it the newest is told",
)
.like("1");
pub(in crate::view) const OF_SESSION: Param = optional(
    "session",
    Takes::Id,
    "In this session, by its number; only together with `host`",
);
pub(in crate::view) const EACH: Param =
    optional("each", Takes::Flag, "Each change of a run by itself");
pub(in crate::view) const EXCEPTED: Param = optional(
    "all",
    Takes::Flag,
    "Also what is excepted, or has not lasted as long as its rule says",
);

fn run_kinds() -> Vec<&'static str> {
    RunKind::ALL.map(|(_, word)| word).to_vec()
}

fn kinds() -> Vec<&'static str> {
    Kind::ALL.map(|(_, word)| word).to_vec()
}

fn ops() -> Vec<&'static str> {
    Op::ALL.map(|(_, word)| word).to_vec()
}

fn authors() -> Vec<&'static str> {
    Author::ALL.map(|(_, word)| word).to_vec()
}
