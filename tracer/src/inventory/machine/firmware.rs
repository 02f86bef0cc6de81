//! Firmware: of the machine with its settings, of the processor, and of disks.

use super::{Attributes, Machine, disks, entries, put_value, word};
use crate::inventory::Facts;
use crate::inventory::machine::hardware::processor;

/// The machine's own firmware, by whichever interface it is started.
pub(in crate::inventory) const BIOS: &str = "bios";

/// Settings whose names hold one of these are secrets, or identify the machine or its owner.
const LEFT_OUT: [&str; 9] = [
    "password",
    "passphrase",
    "pwd",
    "secret",
    "serial",
    "uuid",
    "asset",
    "tag",
    "owner",
];

pub(super) fn read(machine: &Machine) -> Facts {
    let mut facts = Facts::new();
    let bios = machine.attributes(&[
        ("vendor", "sys/class/dmi/id/bios_vendor"),
        ("version", "sys/class/dmi/id/bios_version"),
        ("date", "sys/class/dmi/id/bios_date"),
        ("release", "sys/class/dmi/id/bios_release"),
    ]);
    bios.put(&mut facts, BIOS);
    let microcode = processor(machine).remove("microcode");
    Attributes::of(microcode.map(|revision| ("revision", revision))).put(&mut facts, "microcode");
    for disk in disks::all(machine) {
        let revision = disk.revision().map(|revision| ("revision", revision));
        Attributes::of(revision).put(&mut facts, disk.key.as_str());
    }
    settings(machine, &mut facts);
    facts
}

/// The settings that drivers of the vendors show (`Documentation/ABI/testing/sysfs-class-firmware-attributes`).
/// What guards them lies in another folder, and is not read.
fn settings(machine: &Machine, facts: &mut Facts) {
    for (driver, folder) in entries(&machine.path("sys/class/firmware-attributes")) {
        for (name, setting) in entries(&folder.join("attributes")) {
            if is_left_out(&name) {
                continue;
            }
            let key = format!("setting/{driver}/{name}");
            put_value(facts, key.as_str(), word(&setting.join("current_value")));
        }
    }
}

fn is_left_out(name: &str) -> bool {
    let name = name.to_lowercase();
    LEFT_OUT.iter().any(|part| name.contains(part))
}
