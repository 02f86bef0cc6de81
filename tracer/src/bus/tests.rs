//! Messages as dbus-daemon 1.14 sends them to a monitor.

use super::message::Head;
use super::*;

const CALL: &[u8] = b"l\x01\0\x01 \0\0\0\t\0\0\0\xad\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\
    \x02\x01s\0 \0\0\0org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0\x03\x01s\0\x0b\0\0\0RestartUnit\0\0\0\0\0\
    \x06\x01s\0\x18\0\0\0org.freedesktop.systemd1\0\0\0\0\0\0\0\0\x08\x01g\0\x02ss\0\x07\x01s\0\x04\0\0\0:1.3\0\0\0\0\
    \x0c\0\0\0demo.service\0\0\0\0\x07\0\0\0replace\0";
const REPLY: &[u8] =
    b"l\x02\0\x01%\0\0\x002\0\0\0-\0\0\0\x05\x01u\0\t\0\0\0\x06\x01s\0\x04\0\0\0:1.3\0\0\0\0\
    \x08\x01g\0\x01o\0\0\x07\x01s\0\x04\0\0\0:1.2\0\0\0\0 \0\0\0/org/freedesktop/systemd1/job/77\0";

fn read(bytes: &[u8]) -> Option<Message> {
    let (head, rest) = bytes.split_first_chunk()?;
    let head = Head::decode(head)?;
    assert_eq!(usize::try_from(head.rest_len()), Ok(rest.len()));
    Message::decode(&head, rest)
}

fn id() -> CallId {
    CallId {
        sender: ":1.3".to_owned(),
        serial: 9,
    }
}

#[test]
fn what_the_manager_is_asked_and_takes_on_is_told() {
    let expected = Call {
        id: id(),
        method: "RestartUnit".to_owned(),
        words: vec!["demo.service".to_owned(), "replace".to_owned()],
        wants_reply: true,
        sender: None,
    };
    assert_eq!(told(&read(CALL).unwrap()), Some(Told::Asked(expected)));
    assert_eq!(told(&read(REPLY).unwrap()), Some(Told::Granted(id())));
    let mut refused = REPLY.to_vec();
    refused[1] = 3;
    assert_eq!(told(&read(&refused).unwrap()), Some(Told::Refused(id())));
}

#[test]
fn what_is_sent_is_read_as_it_was_meant() {
    let arguments = [
        Argument::Texts(&["a.service", "/b"]),
        Argument::Number(7),
        Argument::Text("x"),
    ];
    let message = read(&message::call(3, MANAGER, "EnableUnitFiles", &arguments)).unwrap();
    assert_eq!(message.kind, Kind::Call);
    assert_eq!((message.serial, message.wants_reply), (3, true));
    assert_eq!(message.signature, "asus");
    let mut body = message.body();
    assert_eq!(body.texts().unwrap(), ["a.service", "/b"]);
    assert_eq!(body.number(), Some(7));
    assert_eq!(body.text().unwrap(), "x");
    assert_eq!(asked(&message).unwrap().words, ["a.service", "/b"]);
}

#[test]
fn a_message_that_was_cut_says_what_its_beginning_does() {
    let (head, rest) = CALL.split_first_chunk().unwrap();
    let head = Head::decode(head).unwrap();
    let cut = |bytes| Message::decode(&head, &rest[..bytes]);
    assert_eq!(told(&cut(190).unwrap()), None, "the unit is not there");
    assert!(cut(100).is_none());
}

#[test]
fn an_object_is_the_unit_of_its_path() {
    let unit = |path: &str| unit_of(&format!("{UNIT_PATH}{path}"));
    assert_eq!(unit("my_2dapp_40x_2eservice").unwrap(), "my-app@x.service");
    assert_eq!(unit("demo_2"), None);
    assert_eq!(unit_of("/org/freedesktop/systemd1/job/7"), None);
}
