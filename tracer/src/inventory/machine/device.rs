//! Names for devices that stay the same across reboots: by where they are plugged in, and not by the number in
//! the order in which the kernel found them.

use std::path::{Path, PathBuf};

use super::word;

/// Where a device is plugged in, from its folder below `/sys/devices`; none for one that is made up.
pub(super) fn place(device: &Path) -> Option<String> {
    let mut below = PathBuf::new();
    let mut parts: Vec<String> = Vec::new();
    let mut is_below_devices = false;
    for component in device.components() {
        below.push(component);
        let name = component.as_os_str().to_string_lossy();
        if !is_below_devices {
            is_below_devices =
                name == "devices" && below.to_string_lossy().ends_with("sys/devices");
            continue;
        }
        if name == "virtual" {
            return None;
        }
        if is_pci_address(&name) {
            // Bridges before it say nothing more.
            parts = vec![format!("pci-{name}")];
        } else {
            let is_at_ata = parts.last().is_some_and(|part| part.starts_with("ata"));
            let part = part(&name, &below);
            // At most ports there is but one disk.
            parts.extend(part.filter(|part| !(is_at_ata && part == "scsi-0:0:0")));
        }
    }
    (!parts.is_empty()).then(|| parts.join("-"))
}

/// Domain, bus, device and function: `0000:00:1f.2`.
fn is_pci_address(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut fields = name.split([':', '.']);
    let all_digits = fields.by_ref().take(4).all(digits);
    all_digits && name.len() >= 12 && name.matches(':').count() == 2 && name.contains('.')
}

/// What one folder on the way to a device adds to its name.
fn part(name: &str, folder: &Path) -> Option<String> {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match kind {
        // Counted as they are found, and one for each device above.
        "host" | "virtio" | "usb" | "mmc"
        // What all devices of one sort lie in.
        | "mmc_host" | "platform" | "soc" => None,
        "nvme" => (name != kind).then(|| kind.to_owned()),
        "ata" => {
            let port = word(&folder.join("ata_port").join(name).join("port_no"));
            Some(port.map_or_else(|| "ata".to_owned(), |port| format!("ata-{port}")))
        }
        _ if name.starts_with("target") || name.starts_with("rport-") => None,
        _ if ["pci", "LNX", "ACPI", "PNP"]
            .iter()
            .any(|bus| name.starts_with(bus)) =>
        {
            None
        }
        // A hub or a device, of which a part follows that bears its ports, too.
        _ if is_usb_device(name) => None,
        _ => Some(without_count(name)),
    }
}

/// `1-2.4`: bus and ports.
fn is_usb_device(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('-')
        .is_some_and(|(bus, ports)| is_number(bus) && ports.split('.').all(is_number))
}

/// `6:0:1:0` of SCSI without the number of its host, likewise `port-6:1` of SAS, and `1-2:1.0` of USB without
/// that of its bus.
fn without_count(name: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((host, rest)) = name.split_once(':')
        && is_number(host)
        && rest.split(':').all(is_number)
    {
        return format!("scsi-{rest}");
    }
    if let Some((bus, ports)) = name.split_once('-')
        && is_number(bus)
    {
        return format!("usb-{ports}");
    }
    if let Some((sort, address)) = name.rsplit_once('-')
        && let Some((host, rest)) = address.split_once(':')
        && is_number(host)
    {
        return format!("{sort}-{rest}");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_where_it_is_plugged_in() {
        let of = |path: &str| place(Path::new(&format!("/sys/devices/{path}")));
        let is = |path: &str, expected: &str| assert_eq!(of(path).as_deref(), Some(expected));
        is("pci0000:00/0000:00:02.0/virtio1", "pci-0000:00:02.0");
        is(
            "pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0",
            "pci-0000:00:1f.2-ata",
        );
        is(
            "pci0000:00/0000:00:01.1/0000:01:00.0/nvme/nvme0",
            "pci-0000:01:00.0-nvme",
        );
        is(
            "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0",
            "pci-0000:00:14.0-usb-2:1.0-scsi-0:0:0",
        );
        is(
            "pci0000:80/0000:80:03.0/0000:82:00.0/host0/port-0:1/end_device-0:1/target0:0:1/0:0:1:0",
            "pci-0000:82:00.0-port-1-end_device-1-scsi-0:1:0",
        );
        is(
            "platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa",
            "fe340000.mmc-mmc0:aaaa",
        );
        is("vbd-51712", "vbd-51712");
        assert_eq!(of("virtual/block/loop0"), None);
    }

    #[test]
    fn a_port_of_an_ata_controller_is_known_by_its_number_there() {
        let folder = tempfile::tempdir().unwrap();
        let ata = folder
            .path()
            .join("sys/devices/pci0000:00/0000:00:1f.2/ata3");
        let port = ata.join("ata_port/ata3");
        std::fs::create_dir_all(&port).unwrap();
        std::fs::write(port.join("port_no"), "1\n").unwrap();
        let device = ata.join("host2/target2:0:0/2:0:0:0");
        assert_eq!(place(&device).as_deref(), Some("pci-0000:00:1f.2-ata-1"));
    }
}
