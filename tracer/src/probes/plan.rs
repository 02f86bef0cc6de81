//! Which program goes to which kernel function: chosen by the functions' prototypes in BTF,
//! parameters by name, never by the kernel's version.

use super::btf::{Btf, Prototype};

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At a function's entry.
    Entry,
    /// At a function's end.
    End,
    /// At a tracepoint, typed by BTF.
    Tracepoint,
}

/// One program and the place it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The program's name in the object.
    pub program: &'static str,
    /// The kernel function or tracepoint.
    pub target: &'static str,
    /// How it is attached.
    pub way: Way,
}

/// One thing to be seen, and what it takes.
#[derive(Debug)]
pub struct Planned {
    /// What it is called in `tracer doctor`.
    pub name: &'static str,
    /// What is lost without it.
    pub lost_without: &'static str,
    /// Whether file changes depend on it, so that fanotify must do it where it cannot be had.
    pub about_files: bool,
    /// The programs it takes; or why there are none.
    pub attachments: Result<Vec<Attachment>, String>,
}

/// One shape that a function has had, and the program that is made for it.
struct Shape {
    program: &'static str,
    target: &'static str,
    way: Way,
    /// Parameters that the program reads, with their places.
    parameters: &'static [(&'static str, usize)],
    /// How many parameters there are, which is the place of the result; none where it is not read.
    count: Option<usize>,
    returns_pointer: bool,
}

impl Shape {
    const fn entry(
        program: &'static str,
        target: &'static str,
        parameters: &'static [(&'static str, usize)],
    ) -> Self {
        Self {
            program,
            target,
            way: Way::Entry,
            parameters,
            count: None,
            returns_pointer: false,
        }
    }

    const fn end(
        program: &'static str,
        target: &'static str,
        parameters: &'static [(&'static str, usize)],
        count: usize,
    ) -> Self {
        let count = Some(count);
        Self {
            program,
            target,
            way: Way::End,
            parameters,
            count,
            returns_pointer: false,
        }
    }

    const fn pointer(self) -> Self {
        Self {
            returns_pointer: true,
            ..self
        }
    }

    const fn tracepoint(program: &'static str, target: &'static str) -> Self {
        let way = Way::Tracepoint;
        Self {
            program,
            target,
            way,
            parameters: &[],
            count: None,
            returns_pointer: false,
        }
    }

    fn fits(&self, prototype: &Prototype) -> bool {
        let in_place = |(name, place): &(&str, usize)| {
            prototype
                .parameters
                .get(*place)
                .is_some_and(|parameter| parameter == name)
        };
        self.parameters.iter().all(in_place)
            && self
                .count
                .is_none_or(|count| prototype.parameters.len() == count)
            && (self.count.is_none() || self.returns_pointer == prototype.returns_pointer)
    }

    fn attachment(&self) -> Attachment {
        Attachment {
            program: self.program,
            target: self.target,
            way: self.way,
        }
    }
}

/// A thing to be seen: for each of `parts` one of the shapes must fit.
struct Wanted {
    name: &'static str,
    lost_without: &'static str,
    about_files: bool,
    parts: &'static [&'static [Shape]],
    /// What takes the place of `parts` where the compiler split their function in two, so that its
    /// symbol is not what callers call (kernel-matrix 1.5: `vfs_rmdir` on Debian's 5.10).
    if_split: &'static [Shape],
}

const fn files(
    name: &'static str,
    lost_without: &'static str,
    parts: &'static [&'static [Shape]],
) -> Wanted {
    Wanted {
        name,
        lost_without,
        about_files: true,
        parts,
        if_split: &[],
    }
}

const fn processes(
    name: &'static str,
    lost_without: &'static str,
    parts: &'static [&'static [Shape]],
) -> Wanted {
    Wanted {
        name,
        lost_without,
        about_files: false,
        parts,
        if_split: &[],
    }
}

static WANTED: &[Wanted] = &[
    processes(
        "fork",
        "the ancestry of processes whose parents have ended",
        &[&[Shape::tracepoint("fork", "sched_process_fork")]],
    ),
    processes(
        "exec",
        "the command lines of processes that end quickly",
        &[&[Shape::tracepoint("exec", "sched_process_exec")]],
    ),
    processes(
        "exit",
        "when processes and sessions end, and writers through inherited descriptors",
        &[&[Shape::tracepoint("exit", "sched_process_exit")]],
    ),
    files(
        "close",
        "the end of each write",
        &[&[Shape::entry("close", "__fput", &[("file", 0)])]],
    ),
    files(
        "dirtied",
        "writes to files that stay open, and who wrote through a shared descriptor",
        &[&[
            Shape::entry("dirtied", "mnt_get_write_access_file", &[("file", 0)]),
            Shape::entry("dirtied", "__mnt_want_write_file", &[("file", 0)]),
        ]],
    ),
    files(
        "creating",
        "new files that stay open",
        &[&[Shape::entry(
            "creating",
            "security_inode_create",
            &[("dentry", 1)],
        )]],
    ),
    files(
        "create",
        "files made by mknod(2) and by NFS clients",
        &[&[
            Shape::end("create_1_4", "vfs_create", &[("dentry", 1)], 4),
            Shape::end("create_2_5", "vfs_create", &[("dentry", 2)], 5),
        ]],
    ),
    files(
        "mknod",
        "pipes, sockets and devices",
        &[&[
            Shape::end("mknod_1_4", "vfs_mknod", &[("dentry", 1)], 4),
            Shape::end("mknod_2_5", "vfs_mknod", &[("dentry", 2)], 5),
            Shape::end("mknod_2_6", "vfs_mknod", &[("dentry", 2)], 6),
        ]],
    ),
    files(
        "mkdir",
        "new directories",
        &[&[
            Shape::end("mkdir_1_3", "vfs_mkdir", &[("dentry", 1)], 3),
            Shape::end("mkdir_2_4", "vfs_mkdir", &[("dentry", 2)], 4),
            Shape::end("mkdir_2_4_pointer", "vfs_mkdir", &[("dentry", 2)], 4).pointer(),
            Shape::end("mkdir_2_5_pointer", "vfs_mkdir", &[("dentry", 2)], 5).pointer(),
        ]],
    ),
    files(
        "symlink",
        "new symbolic links",
        &[&[
            Shape::end(
                "symlink_1_3",
                "vfs_symlink",
                &[("dentry", 1), ("oldname", 2)],
                3,
            ),
            Shape::end(
                "symlink_2_4",
                "vfs_symlink",
                &[("dentry", 2), ("oldname", 3)],
                4,
            ),
            Shape::end(
                "symlink_2_5",
                "vfs_symlink",
                &[("dentry", 2), ("oldname", 3)],
                5,
            ),
        ]],
    ),
    files(
        "link",
        "new hard links",
        &[&[
            Shape::end(
                "link_2_4",
                "vfs_link",
                &[("old_dentry", 0), ("new_dentry", 2)],
                4,
            ),
            Shape::end(
                "link_3_5",
                "vfs_link",
                &[("old_dentry", 0), ("new_dentry", 3)],
                5,
            ),
        ]],
    ),
    files(
        "unlink",
        "deleted files",
        &[
            &[
                Shape::entry("unlinking_1", "vfs_unlink", &[("dentry", 1)]),
                Shape::entry("unlinking_2", "vfs_unlink", &[("dentry", 2)]),
            ],
            &[
                Shape::end("unlinked_1_3", "vfs_unlink", &[("dentry", 1)], 3),
                Shape::end("unlinked_2_4", "vfs_unlink", &[("dentry", 2)], 4),
            ],
        ],
    ),
    Wanted {
        name: "rmdir",
        lost_without: "deleted directories",
        about_files: true,
        parts: &[
            &[
                Shape::entry("removing_directory_1", "vfs_rmdir", &[("dentry", 1)]),
                Shape::entry("removing_directory_2", "vfs_rmdir", &[("dentry", 2)]),
            ],
            &[
                Shape::end("removed_directory_1_2", "vfs_rmdir", &[("dentry", 1)], 2),
                Shape::end("removed_directory_2_3", "vfs_rmdir", &[("dentry", 2)], 3),
                Shape::end("removed_directory_2_4", "vfs_rmdir", &[("dentry", 2)], 4),
            ],
        ],
        if_split: &[
            Shape::entry(
                "removing_directory_split",
                "security_inode_rmdir",
                &[("dentry", 1)],
            ),
            Shape::end("removed_directory_split", "do_rmdir", &[("dfd", 0)], 2),
        ],
    },
    files(
        "rename",
        "renames, and with them what editors and package managers save",
        &[
            &[Shape::entry("renaming", "vfs_rename", &[("rd", 0)])],
            &[Shape::end("renamed_0_1", "vfs_rename", &[("rd", 0)], 1)],
        ],
    ),
    files(
        "attributes",
        "chmod, chown and truncate",
        &[&[
            Shape::end(
                "attributes_0_3",
                "notify_change",
                &[("dentry", 0), ("attr", 1)],
                3,
            ),
            Shape::end(
                "attributes_1_4",
                "notify_change",
                &[("dentry", 1), ("attr", 2)],
                4,
            ),
        ]],
    ),
    files(
        "set-xattr",
        "extended attributes that are set",
        &[&[
            Shape::end(
                "set_xattr_0_5",
                "__vfs_setxattr_noperm",
                &[("dentry", 0), ("name", 1)],
                5,
            ),
            Shape::end(
                "set_xattr_1_6",
                "__vfs_setxattr_noperm",
                &[("dentry", 1), ("name", 2)],
                6,
            ),
        ]],
    ),
    files(
        "remove-xattr",
        "extended attributes that are removed",
        &[&[
            Shape::end(
                "remove_xattr_0_3",
                "__vfs_removexattr_locked",
                &[("dentry", 0), ("name", 1)],
                3,
            ),
            Shape::end(
                "remove_xattr_1_4",
                "__vfs_removexattr_locked",
                &[("dentry", 1), ("name", 2)],
                4,
            ),
        ]],
    ),
];

/// Where `set_posix_acl` takes an inode (up to 6.1), access control lists pass the functions for
/// extended attributes, and this is neither needed nor possible.
static ACL: Wanted = files(
    "set-acl",
    "access control lists",
    &[&[Shape::end(
        "set_acl_1_4",
        "set_posix_acl",
        &[("dentry", 1), ("type", 2)],
        4,
    )]],
);

/// Chooses a program for each thing to be seen. `is_split` tells whether the compiler has split a
/// function, so that its symbol is not what its callers call.
pub fn plan(btf: &Btf, is_split: &dyn Fn(&str) -> bool) -> Vec<Planned> {
    let acl_by_inode = btf
        .prototype("set_posix_acl")
        .is_some_and(|prototype| prototype.parameters.iter().any(|name| name == "inode"));
    let wanted = WANTED.iter().chain((!acl_by_inode).then_some(&ACL));
    wanted.map(|wanted| choose(wanted, btf, is_split)).collect()
}

fn choose(wanted: &Wanted, btf: &Btf, is_split: &dyn Fn(&str) -> bool) -> Planned {
    let Wanted {
        name,
        lost_without,
        about_files,
        parts,
        if_split,
    } = wanted;
    let split = parts
        .iter()
        .flat_map(|shapes| shapes.iter())
        .any(|shape| is_split(shape.target));
    let attachments = if split && !if_split.is_empty() {
        if_split
            .iter()
            .map(|shape| first_fitting(std::slice::from_ref(shape), btf))
            .collect()
    } else {
        parts
            .iter()
            .map(|shapes| first_fitting(shapes, btf))
            .collect()
    };
    Planned {
        name,
        lost_without,
        about_files: *about_files,
        attachments,
    }
}

fn first_fitting(shapes: &[Shape], btf: &Btf) -> Result<Attachment, String> {
    let fits = |shape: &&Shape| match shape.way {
        Way::Tracepoint => true,
        Way::Entry | Way::End => btf
            .prototype(shape.target)
            .is_some_and(|prototype| shape.fits(&prototype)),
    };
    if let Some(shape) = shapes.iter().find(fits) {
        return Ok(shape.attachment());
    }
    let known = shapes
        .iter()
        .find_map(|shape| Some((shape.target, btf.prototype(shape.target)?)));
    if let Some((target, Prototype { parameters, .. })) = known {
        let parameters = parameters.join(", ");
        return Err(format!(
            "this kernel's `{target}({parameters})` is of no known shape"
        ));
    }
    let mut targets: Vec<&str> = shapes.iter().map(|shape| shape.target).collect();
    targets.dedup();
    Err(format!(
        "this kernel has no function `{}`",
        targets.join("` or `")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_a_program_for_everything() {
        let btf = Btf::of_running_kernel().unwrap();
        for planned in plan(&btf, &|_| false) {
            assert!(planned.attachments.is_ok(), "{planned:?}");
        }
    }

    #[test]
    fn a_split_function_is_seen_another_way() {
        let btf = Btf::of_running_kernel().unwrap();
        let planned = plan(&btf, &|function| function == "vfs_rmdir");
        let rmdir = planned
            .iter()
            .find(|planned| planned.name == "rmdir")
            .unwrap();
        match &rmdir.attachments {
            Ok(attachments) => assert_eq!(attachments[0].target, "security_inode_rmdir"),
            Err(why) => assert!(why.contains("do_rmdir"), "{why}"),
        }
    }
}
