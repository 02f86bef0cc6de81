//! What the path of a cgroup says: the unit, and the container by the names that runtimes give.

use change::Container;

/// What a cgroup stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) unit: Option<String>,
    pub(super) container: Option<Container>,
    /// Whether it is the root, where kernel threads and hosts without a service manager are.
    pub(super) is_root: bool,
}

/// Types of units that have cgroups.
const UNIT_TYPES: [&str; 6] = [".service", ".scope", ".mount", ".swap", ".socket", ".slice"];

/// What stands before a container's id in the name of its scope, and the runtime's name.
const SCOPES: [(&str, &str); 5] = [
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
];

impl Place {
    /// Reads a cgroup's path.
    pub(super) fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let container = (0..parts.len()).find_map(|index| Some((index, container(&parts, index)?)));
        // Units within a container are those of its own service manager.
        let outer = container
            .as_ref()
            .map_or(parts.as_slice(), |&(index, _)| &parts[..=index]);
        Self {
            unit: unit(outer),
            container: container.map(|(_, container)| container),
            is_root: parts.is_empty(),
        }
    }

    /// Whether it is a service's cgroup.
    pub(super) fn is_service(&self) -> bool {
        self.unit
            .as_deref()
            .is_some_and(|unit| unit.ends_with(".service"))
    }

    /// Whether it is what logind makes for a login.
    pub(super) fn is_login_scope(&self) -> bool {
        let scope = self
            .unit
            .as_deref()
            .and_then(|unit| unit.strip_suffix(".scope"));
        scope.is_some_and(|name| name.starts_with("session-"))
    }
}

fn unit(parts: &[&str]) -> Option<String> {
    let is_unit = |part: &&str| UNIT_TYPES.iter().any(|kind| part.ends_with(kind));
    let is_group = |part: &str| part.strip_suffix(".slice").is_some();
    // A slice only where nothing in it is named, and the manager's own scope goes by the manager.
    let mut units = parts.iter().rev().copied().filter(is_unit);
    let innermost = units.next()?;
    let unit = if innermost == "init.scope" || is_group(innermost) {
        let outer = units.find(|unit| !is_group(unit));
        outer.unwrap_or(innermost)
    } else {
        innermost
    };
    Some(unit.to_owned())
}

fn container(parts: &[&str], index: usize) -> Option<Container> {
    let part = parts[index];
    let before = index.checked_sub(1).map_or("", |before| parts[before]);
    let (id, runtime) = scope(part)
        .or_else(|| machine(part))
        .or_else(|| lxc(before, part))
        .or_else(|| bare_id(parts, index))?;
    Some(Container {
        id: id.to_owned(),
        runtime: runtime.to_owned(),
    })
}

/// `docker-ID.scope`, and the form `kubepods-….slice:cri-containerd:ID`.
fn scope(part: &str) -> Option<(&str, &str)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let mut fields = name.rsplit(':');
    if let (Some(id), Some(runtime), Some(_)) = (fields.next(), fields.next(), fields.next())
        && is_id(id)
    {
        let known = SCOPES
            .iter()
            .find(|(start, _)| start.trim_end_matches('-') == runtime);
        return Some((id, known.map_or(runtime, |(_, name)| name)));
    }
    SCOPES.iter().find_map(|(start, runtime)| {
        let id = name.strip_prefix(start)?;
        is_id(id).then_some((id, *runtime))
    })
}

/// What systemd-machined names; not the virtual machines among them.
fn machine(part: &str) -> Option<(&str, &str)> {
    let nspawn = "systemd-nspawn";
    if let Some(name) = part.strip_prefix("systemd-nspawn@") {
        return Some((name.strip_suffix(".service")?, nspawn));
    }
    let name = part.strip_prefix("machine-")?.strip_suffix(".scope")?;
    match name.split_once("\\x2d") {
        Some(("qemu", _)) => None,
        Some(("lxc", name)) => Some((name, "lxc")),
        _ => Some((name, nspawn)),
    }
}

fn lxc<'a>(before: &str, part: &'a str) -> Option<(&'a str, &'static str)> {
    let name = match part.strip_prefix("lxc.payload.") {
        Some(name) => name,
        None if matches!(before, "lxc" | "lxc.payload") => part,
        None => return None,
    };
    Some((name, "lxc"))
}

/// An id alone, below a folder that tells whose it is.
fn bare_id<'a>(parts: &[&'a str], index: usize) -> Option<(&'a str, &'static str)> {
    let part = parts[index];
    if !is_id(part) {
        return None;
    }
    let outer = &parts[..index];
    let runtime = if outer.last() == Some(&"docker") {
        "docker"
    } else if outer.iter().any(|part| part.starts_with("libpod")) {
        "podman"
    } else if outer.iter().any(|part| part.starts_with("kubepods")) {
        "kubernetes"
    } else {
        return None;
    };
    Some((part, runtime))
}

/// Whether it looks like a runtime's id; short ones are typed by hand in tests only.
fn is_id(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_innermost_unit_is_told() {
        let table = [
            ("/", None),
            ("/init.scope", Some("init.scope")),
            ("/system.slice/nginx.service", Some("nginx.service")),
            ("/system.slice/x.service/worker", Some("x.service")),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
            ),
            (
                "/user.slice/user-1000.slice/session-41.scope",
                Some("session-41.scope"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                Some("user@1000.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/a.service",
                Some("a.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice",
                Some("user@1000.service"),
            ),
            ("/system.slice", Some("system.slice")),
        ];
        for (path, unit) in table {
            assert_eq!(Place::of(path).unit.as_deref(), unit, "{path}");
        }
    }

    #[test]
    fn containers_are_told_by_their_runtimes_names() {
        let table = [
            (format!("/system.slice/docker-{ID}.scope"), ID, "docker"),
            (
                format!("/system.slice/docker-{ID}.scope/init.scope"),
                ID,
                "docker",
            ),
            (format!("/docker/{ID}"), ID, "docker"),
            (
                format!("/machine.slice/libpod-{ID}.scope/container"),
                ID,
                "podman",
            ),
            (
                format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
                ID,
                "containerd",
            ),
            (
                format!("/kubepods-besteffort.slice:cri-containerd:{ID}"),
                ID,
                "containerd",
            ),
            (format!("/kubepods.slice/crio-{ID}.scope"), ID, "cri-o"),
            (
                format!("/kubepods/burstable/pod12-34/{ID}"),
                ID,
                "kubernetes",
            ),
            (
                "/machine.slice/machine-web.scope/payload".to_owned(),
                "web",
                "systemd-nspawn",
            ),
            (
                "/machine.slice/systemd-nspawn@web.service/payload".to_owned(),
                "web",
                "systemd-nspawn",
            ),
            (
                "/lxc.payload.web/system.slice/a.service".to_owned(),
                "web",
                "lxc",
            ),
        ];
        for (path, id, runtime) in table {
            let container = Place::of(&path).container.unwrap();
            assert_eq!(
                (container.id.as_str(), container.runtime.as_str()),
                (id, runtime),
                "{path}"
            );
        }
        let inner = Place::of(&format!("/system.slice/docker-{ID}.scope/init.scope"));
        assert_eq!(inner.unit, Some(format!("docker-{ID}.scope")));
    }

    #[test]
    fn what_serves_containers_is_none() {
        for path in [
            "/system.slice/docker.service".to_owned(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope".to_owned(),
            "/lxc.monitor.web".to_owned(),
            "/user.slice/user-0.slice/session-1.scope".to_owned(),
        ] {
            assert_eq!(Place::of(&path).container, None, "{path}");
        }
    }
}
