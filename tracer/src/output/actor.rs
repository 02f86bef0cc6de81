//! Who: a person, or what worked for one, in a few words.

use change::{Actor, Session, SessionKind, Tool, User};

use super::escape::escape_text;

/// Who made a change, as the subject of a sentence.
pub(super) fn who(actor: &Actor) -> String {
    let origin = origin(actor);
    match actor.tool() {
        Some(Tool::PackageManager(name)) => {
            format!("the package manager ({name}, run by {origin})")
        }
        Some(Tool::ConfigManagement(name)) => {
            format!("configuration management ({name}, run by {origin})")
        }
        None => origin,
    }
}

/// Who made a change, for a column.
pub(super) fn short(actor: &Actor) -> String {
    let origin = match &actor.session {
        _ if actor.container.is_some() => origin(actor),
        Some(Session {
            kind: SessionKind::Cron,
            ..
        }) => format!("cron ({})", user(actor.person())),
        Some(Session {
            kind: SessionKind::Service,
            ..
        }) if actor.unit.is_some() => unit(actor),
        _ => user(actor.person()),
    };
    match actor.tool() {
        Some(Tool::PackageManager(name) | Tool::ConfigManagement(name)) => {
            format!("{name} ({origin})")
        }
        None => origin,
    }
}

/// A user by name, or by number where the host had no name for it.
pub(super) fn user(user: &User) -> String {
    user.name
        .as_deref()
        .map_or_else(|| format!("uid {}", user.uid), escape_text)
}

fn origin(actor: &Actor) -> String {
    let person = user(actor.person());
    if let Some(container) = &actor.container {
        let id: String = container.id.chars().take(12).collect();
        return format!(
            "container {} {}",
            escape_text(&container.runtime),
            escape_text(&id)
        );
    }
    match actor.session.as_ref().map(|session| session.kind) {
        Some(SessionKind::Ssh | SessionKind::Console) | None => person,
        Some(SessionKind::Cron) => format!("a cron job of {person}"),
        Some(SessionKind::Service) if actor.unit.is_some() => format!("service {}", unit(actor)),
        Some(SessionKind::Service) => format!("a service of {person}"),
        Some(SessionKind::Container) => "a container".to_owned(),
        Some(SessionKind::Boot) => format!("a process of {person} from the boot"),
    }
}

fn unit(actor: &Actor) -> String {
    actor.unit.as_deref().map_or_else(String::new, escape_text)
}

/// Where they came from: `over ssh from 10.1.2.3 (session 41, pts/0)`; empty where nothing is
/// known.
pub(super) fn way(session: &Session) -> String {
    let Session {
        id,
        kind,
        tty,
        remote,
    } = session;
    let way = match (kind, remote) {
        (SessionKind::Ssh, Some(remote)) => format!("over ssh from {}", escape_text(remote)),
        (SessionKind::Ssh, None) => "over ssh".to_owned(),
        (SessionKind::Console, _) => "on the console".to_owned(),
        _ => String::new(),
    };
    let number = (*id != 0).then(|| format!("session {id}"));
    let details: Vec<_> = number
        .into_iter()
        .chain(tty.as_deref().map(escape_text))
        .collect();
    let details = if details.is_empty() {
        String::new()
    } else {
        format!("({})", details.join(", "))
    };
    format!("{way} {details}").trim().to_owned()
}
