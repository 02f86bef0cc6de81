//! Examples for the tests of the answers: a file with four versions, and somebody besides Alice.

use change::Actor;

use super::Answers;
use crate::store::example::{Example, alice, create, edit, person, user};

pub(super) fn answers(example: &Example) -> Answers {
    Answers::new(example.path())
}

pub(super) fn bob() -> Actor {
    person(user(1001, "bob"), 42, &["nano", "/etc/a"])
}

/// Alice creates a file, bob edits it, a late change is found, and alice edits it again.
pub(super) fn four_versions() -> Example {
    let texts = ["one\n", "one\ntwo\n", "zero\none\ntwo\n", "zero\none\n2\n"];
    let mut example = Example::new();
    example.keep(&texts);
    example.log(vec![
        create("/etc/a", texts[0], 1, Some(alice(41))),
        edit("/etc/a", [texts[0], texts[1]], 2, Some(bob())),
        edit("/etc/a", [texts[1], texts[2]], 3, None),
        edit("/etc/a", [texts[2], texts[3]], 4, Some(alice(41))),
    ]);
    example
}
