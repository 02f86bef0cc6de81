//! What is to be seen of mounts and swap space.

use super::wanted::{Shape, Wanted, mounts};
use crate::probes::btf::Btf;

/// What every kernel has.
pub(super) static MOUNTS: [Wanted; 4] = [
    mounts(
        "mount",
        "who mounts something, or gives a mount other options",
        &[&[Shape::end("mounted_1_5", "path_mount", &[("path", 1)], 5)]],
    ),
    mounts(
        "move-mount",
        "who mounts something by the newer calls",
        &[
            &[Shape::entry(
                "moving_mount",
                "security_move_mount",
                &[("to_path", 1)],
            )],
            &[
                Shape::end("moved_mount", "__x64_sys_move_mount", ANY, 1),
                Shape::end("moved_mount", "__arm64_sys_move_mount", ANY, 1),
            ],
        ],
    ),
    mounts(
        "unmount",
        "who unmounts something",
        &[&[Shape::end(
            "unmounted_0_2",
            "path_umount",
            &[("path", 0)],
            2,
        )]],
    ),
    mounts(
        "remount",
        "who gives a file system other options by the newer calls",
        &[&[Shape::end(
            "remounted_0_1",
            "reconfigure_super",
            &[("fc", 0)],
            1,
        )]],
    ),
];

/// What a kernel may lack, with calls of which one tells that it has it.
pub(super) static OPTIONAL_MOUNTS: [([&str; 2], Wanted); 2] = [
    (
        ["__x64_sys_mount_setattr", "__arm64_sys_mount_setattr"],
        mounts(
            "set-mount",
            "who gives a mount other options by the newer calls",
            &[&[
                Shape::end("set_mount", "__x64_sys_mount_setattr", ANY, 1),
                Shape::end("set_mount", "__arm64_sys_mount_setattr", ANY, 1),
            ]],
        ),
    ),
    (
        ["__x64_sys_swapon", "__arm64_sys_swapon"],
        mounts(
            "swap",
            "who turns swap space on and off",
            &[
                &[
                    Shape::end("swapped_on", "__x64_sys_swapon", ANY, 1),
                    Shape::end("swapped_on", "__arm64_sys_swapon", ANY, 1),
                ],
                &[
                    Shape::end("swapped_off", "__x64_sys_swapoff", ANY, 1),
                    Shape::end("swapped_off", "__arm64_sys_swapoff", ANY, 1),
                ],
            ],
        ),
    ),
];

/// A system call's argument has the name that it has where the call is left out of some kernels, as the weak
/// function that stands for it there has the same type.
const ANY: &[(&str, usize)] = &[];

/// Whether the kernel knows such a system call.
pub(super) fn has_call(btf: &Btf, calls: [&str; 2]) -> bool {
    calls.iter().any(|call| btf.prototype(call).is_some())
}
