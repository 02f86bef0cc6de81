//! Past states of the host, folded from what the programs tell.

use tests::drift;

use crate::{daemon, is_one_of};

#[test]
fn each_state_of_a_tree_is_what_was_there_then() {
    // What is folded depends on the kernel no more than the changes do, which other tests prove.
    if is_one_of(&["6.12"]) {
        for seed in [3, 13, 14, 40] {
            drift(daemon(), seed);
        }
    }
}
