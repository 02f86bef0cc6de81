//! Who wrote, when a descriptor is not of the process that opened it.

use std::env;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde_json::Value;
use tests::act;

use crate::daemon;

/// Lets `action` open a new file and another process write it, and returns the one change.
fn written_by_another(action: fn(&Path)) -> Value {
    let acted = act(daemon, |_| {}, action);
    let [change] = acted.changes.as_slice() else {
        panic!("not one change but {:#?}", acted.changes);
    };
    assert_eq!(change["op"], "create", "{change:#}");
    assert_eq!(change["after"]["size"], 6, "{change:#}");
    let process = &change["actor"]["process"];
    assert_ne!(process["pid"], acted.pid, "{change:#}");
    let parent = &change["actor"]["ancestry"][0];
    assert_eq!(parent["pid"], acted.pid, "{change:#}");
    change.clone()
}

#[test]
fn a_child_that_writes_through_an_inherited_descriptor_is_named() {
    let change = written_by_another(|folder| {
        let file = File::create(folder.join("file")).unwrap();
        let mut child = Command::new("/bin/busybox");
        let status = child.args(["echo", "hello"]).stdout(file).status();
        assert!(status.unwrap().success());
    });
    let argv = &change["actor"]["process"]["argv"];
    assert_eq!(argv, &serde_json::json!(["/bin/busybox", "echo", "hello"]));
}

#[test]
fn a_process_that_writes_through_a_passed_descriptor_is_named() {
    let change = written_by_another(|folder| {
        let file = File::create(folder.join("file")).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut child = Command::new(env::current_exe().unwrap());
        child
            .args(["--exact", "descriptors::the_receiver_writes"])
            .args(["--ignored", "--nocapture"])
            .stdin(OwnedFd::from(theirs));
        let mut child = child.stdout(Stdio::null()).spawn().unwrap();
        let descriptors = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let data = [IoSlice::new(b"x")];
        sendmsg(&ours, &data, &mut ancillary, SendFlags::empty()).unwrap();
        assert!(child.wait().unwrap().success());
    });
    let argv = &change["actor"]["process"]["argv"];
    assert_eq!(argv[2], "descriptors::the_receiver_writes", "{change:#}");
}

#[test]
#[ignore = "run by another test, as the process that gets a descriptor"]
fn the_receiver_writes() {
    let stdin = std::io::stdin();
    if rustix::net::sockopt::socket_type(&stdin).is_err() {
        return;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    recvmsg(&stdin, &mut data, &mut ancillary, RecvFlags::empty()).unwrap();
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let mut file = File::from(received.expect("a descriptor was passed"));
    file.write_all(b"hello\n").unwrap();
}
