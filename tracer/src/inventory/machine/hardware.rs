//! What the machine is made of: processor, memory, disks, network cards and PCI devices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::{Attributes, Machine, device, disks, entries, link_name, word};
use crate::inventory::Facts;

/// The first processor's part of `/proc/cpuinfo` is shorter; the others are like it.
const FIRST_PROCESSOR: u64 = 8192;

/// Memory as the kernel counts it is rounded up to this, where its own blocks are not told: it leaves out what
/// it takes for itself, which is another amount with each kernel.
const MEMORY_GRAIN: u64 = 128 << 20;

pub(super) fn read(machine: &Machine) -> Facts {
    let mut facts = Facts::new();
    product(machine).put(&mut facts, "machine");
    cpu(machine).put(&mut facts, "cpu");
    Attributes::of(memory(machine).map(|size| ("size", size))).put(&mut facts, "memory");
    for disk in disks::all(machine) {
        let mut attributes = Attributes::default();
        attributes.add("model", disk.model());
        attributes.add("vendor", disk.vendor());
        attributes.add("size", disk.size_bytes());
        attributes.put(&mut facts, disk.key.as_str());
    }
    network_cards(machine, &mut facts);
    pci_devices(machine, &mut facts);
    facts
}

fn product(machine: &Machine) -> Attributes {
    let mut attributes = machine.attributes(&[
        ("vendor", "sys/class/dmi/id/sys_vendor"),
        ("product", "sys/class/dmi/id/product_name"),
        ("version", "sys/class/dmi/id/product_version"),
        ("family", "sys/class/dmi/id/product_family"),
        ("board", "sys/class/dmi/id/board_name"),
        ("board_vendor", "sys/class/dmi/id/board_vendor"),
        ("board_version", "sys/class/dmi/id/board_version"),
    ]);
    // Where there is no DMI the device tree names it.
    let from_tree = machine.value("proc/device-tree/model");
    if !attributes.0.contains_key("product") {
        attributes.add("product", from_tree);
    }
    attributes
}

/// What `/proc/cpuinfo` says of the first processor.
pub(super) fn processor(machine: &Machine) -> BTreeMap<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(machine.path("proc/cpuinfo"))
        .and_then(|file| file.take(FIRST_PROCESSOR).read_to_end(&mut bytes));
    if read.is_err() {
        return BTreeMap::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let first = text.lines().take_while(|line| !line.trim().is_empty());
    let pairs = first.filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn cpu(machine: &Machine) -> Attributes {
    let mut processor = processor(machine);
    let mut attributes = Attributes::default();
    for (name, field) in [
        ("model", "model name"),
        ("vendor", "vendor_id"),
        ("family", "cpu family"),
        ("model_number", "model"),
        ("stepping", "stepping"),
        ("implementer", "CPU implementer"),
        ("part", "CPU part"),
        ("revision", "CPU revision"),
    ] {
        attributes.add(name, processor.remove(field));
    }
    let (mut threads, mut cores, mut sockets) = (0_usize, BTreeSet::new(), BTreeSet::new());
    for (name, folder) in entries(&machine.path("sys/devices/system/cpu")) {
        let number = name.strip_prefix("cpu");
        if number.is_none_or(|number| number.parse::<u32>().is_err()) {
            continue;
        }
        threads += 1;
        // Not there of one that is switched off.
        let topology = |file| word(&folder.join("topology").join(file));
        if let Some(socket) = topology("physical_package_id") {
            cores.insert((socket.clone(), topology("core_id")));
            sockets.insert(socket);
        }
    }
    for (name, count) in [
        ("threads", threads),
        ("cores", cores.len()),
        ("sockets", sockets.len()),
    ] {
        attributes.add(name, (count > 0).then(|| count.to_string()));
    }
    attributes
}

/// Bytes of memory: its blocks where the kernel has them, which a balloon in a guest leaves as they are.
fn memory(machine: &Machine) -> Option<String> {
    let folder = "sys/devices/system/memory";
    let block = machine.value(&format!("{folder}/block_size_bytes"));
    let block = block.and_then(|size| u64::from_str_radix(&size, 16).ok());
    let is_block = |(name, _): &(String, _)| {
        let number = name.strip_prefix("memory");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let blocks = entries(&machine.path(folder)).into_iter().filter(is_block);
    let blocks = u64::try_from(blocks.count()).unwrap_or_default();
    let from_blocks = block.map(|size| size.saturating_mul(blocks));
    let bytes = from_blocks.filter(|bytes| *bytes > 0).or_else(|| {
        let text = std::fs::read_to_string(machine.path("proc/meminfo")).ok()?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib: u64 = total?.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib.saturating_mul(1024).next_multiple_of(MEMORY_GRAIN))
    });
    bytes.map(|bytes| bytes.to_string())
}

/// Network cards by where they are plugged in. Addresses identify the machine and are left out.
fn network_cards(machine: &Machine, facts: &mut Facts) {
    for (name, folder) in entries(&machine.path("sys/class/net")) {
        let Ok(device) = folder.join("device").canonicalize() else {
            continue;
        };
        let place = device::place(&device).unwrap_or_else(|| name.clone());
        let driver = link_name(&device.join("driver"));
        let version = |driver: &String| machine.value(&format!("sys/module/{driver}/version"));
        let mut attributes = Attributes::default();
        attributes.add("driver_version", driver.as_ref().and_then(version));
        attributes.add("driver", driver);
        let key = format!("network/{place}");
        // A card may have several ports in one place.
        let is_taken = facts.contains_key(key.as_bytes());
        let key = if is_taken {
            format!("{key}/{name}")
        } else {
            key
        };
        attributes.add("name", Some(name));
        attributes.put(facts, key.as_str());
    }
}

fn pci_devices(machine: &Machine, facts: &mut Facts) {
    for (address, folder) in entries(&machine.path("sys/bus/pci/devices")) {
        let mut attributes = Attributes::default();
        attributes.add("id", pair(&folder, "vendor", "device"));
        let subsystem = pair(&folder, "subsystem_vendor", "subsystem_device");
        attributes.add("subsystem", subsystem.filter(|id| id != "0000:0000"));
        attributes.add("class", digits(&folder, "class"));
        attributes.add("revision", digits(&folder, "revision"));
        attributes.add("driver", link_name(&folder.join("driver")));
        attributes.put(facts, format!("pci/{address}").as_str());
    }
}

/// `8086:1237`.
fn pair(folder: &Path, vendor: &str, device: &str) -> Option<String> {
    Some(format!(
        "{}:{}",
        digits(folder, vendor)?,
        digits(folder, device)?
    ))
}

fn digits(folder: &Path, file: &str) -> Option<String> {
    let value = word(&folder.join(file))?;
    Some(value.trim_start_matches("0x").to_owned())
}
