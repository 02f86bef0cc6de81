//! Which program goes to which kernel function: chosen by the functions' prototypes in BTF,
//! parameters by name, never by the kernel's version.

mod mounts;
mod wanted;

use mounts::{MOUNTS, OPTIONAL_MOUNTS, has_call};
use wanted::{ACL, FLAGS, Shape, WANTED, Wanted};

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
    /// Whether the self-test can prove it alive.
    pub is_proved: bool,
    /// The programs it takes; or why there are none.
    pub attachments: Result<Vec<Attachment>, String>,
}

/// Chooses a program for each thing to be seen. `is_split` tells whether the compiler has split a
/// function, so that its symbol is not what its callers call.
pub fn plan(btf: &Btf, is_split: &dyn Fn(&str) -> bool) -> Vec<Planned> {
    let acl_by_inode = btf
        .prototype("set_posix_acl")
        .is_some_and(|prototype| prototype.parameters.iter().any(|name| name == "inode"));
    let flags_by_path = btf.prototype("vfs_fileattr_set").is_some();
    let has = |(calls, _): &&([&str; 2], Wanted)| has_call(btf, *calls);
    let optional_mounts = OPTIONAL_MOUNTS.iter().filter(has);
    let wanted = WANTED
        .iter()
        .chain(&MOUNTS)
        .chain(optional_mounts.map(|(_, wanted)| wanted))
        .chain((!acl_by_inode).then_some(&ACL))
        .chain(flags_by_path.then_some(&FLAGS));
    wanted.map(|wanted| choose(wanted, btf, is_split)).collect()
}

fn choose(wanted: &Wanted, btf: &Btf, is_split: &dyn Fn(&str) -> bool) -> Planned {
    let Wanted {
        name,
        lost_without,
        about_files,
        is_proved,
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
        is_proved: *is_proved,
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
