//! Machines in folders, and what is a fact of them.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A machine in a folder.
struct Sample(TempDir);

impl Sample {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    fn machine(&self) -> Machine {
        Machine::below(self.0.path())
    }
}

fn lines(facts: &Facts) -> String {
    let lines = facts.iter().map(|(key, value)| {
        let json = serde_json::to_string(value).unwrap();
        format!("{key} {json}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a rack server with its disks and a network card shows.
fn server() -> Sample {
    let sample = Sample::new();
    let dmi = "sys/class/dmi/id";
    for (name, value) in [
        ("bios_vendor", "Dell Inc."),
        ("bios_version", "2.19.1"),
        ("bios_date", "06/04/2023"),
        ("bios_release", "2.19"),
        ("sys_vendor", "Dell Inc."),
        ("product_name", "PowerEdge R640"),
        ("product_version", " "),
        ("product_family", "PowerEdge"),
        ("product_serial", "7XKQ9Z2"),
        ("product_uuid", "4c4c4544-0058-4b10-8051-b7c04f395a32"),
        ("board_name", "0H28RR"),
        ("board_vendor", "Dell Inc."),
        ("board_version", "A02"),
        ("board_serial", ".7XKQ9Z2.CNFCP0094600AB."),
    ] {
        sample.file(&format!("{dmi}/{name}"), &format!("{value}\n"));
    }
    sample.file(
        "proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
         model name\t: Intel(R) Xeon(R) Gold 6132 CPU @ 2.60GHz\nstepping\t: 4\n\
         microcode\t: 0x2007006\ncpu MHz\t\t: 1000.123\n\nprocessor\t: 1\nmicrocode\t: 0x1\n",
    );
    for (cpu, socket, core) in [(0, 0, 0), (1, 1, 0), (2, 0, 0), (3, 1, 0)] {
        let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        sample.file(
            &format!("{topology}/physical_package_id"),
            &format!("{socket}\n"),
        );
        sample.file(&format!("{topology}/core_id"), &format!("{core}\n"));
    }
    sample.file("sys/devices/system/cpu/cpufreq/boost", "1\n");
    sample.file("sys/devices/system/memory/block_size_bytes", "80000000\n");
    for block in 0..4 {
        sample.file(
            &format!("sys/devices/system/memory/memory{block}/online"),
            "1\n",
        );
    }
    disks_of(&sample);
    let card = "sys/devices/pci0000:17/0000:17:00.0/0000:18:00.0";
    for (name, value) in [
        ("vendor", "0x8086"),
        ("device", "0x1572"),
        ("subsystem_vendor", "0x8086"),
        ("subsystem_device", "0x0006"),
        ("class", "0x020000"),
        ("revision", "0x02"),
        ("net/eno1/address", "e4:43:4b:00:11:22"),
    ] {
        sample.file(&format!("{card}/{name}"), &format!("{value}\n"));
    }
    sample.file("sys/bus/pci/drivers/i40e/bind", "");
    sample.file("sys/module/i40e/version", "2.8.20-k\n");
    sample.link(
        &format!("{card}/driver"),
        "../../../../bus/pci/drivers/i40e",
    );
    sample.link(
        "sys/bus/pci/devices/0000:18:00.0",
        "../../../devices/pci0000:17/0000:17:00.0/0000:18:00.0",
    );
    sample.link(&format!("{card}/net/eno1/device"), "../../../0000:18:00.0");
    sample.link(
        "sys/class/net/eno1",
        "../../devices/pci0000:17/0000:17:00.0/0000:18:00.0/net/eno1",
    );
    sample.file("sys/devices/virtual/net/lo/address", "00:00:00:00:00:00\n");
    sample.link("sys/class/net/lo", "../../devices/virtual/net/lo");
    sample
}

fn disks_of(sample: &Sample) {
    let controller = "sys/devices/pci0000:00/0000:00:11.5";
    let device = format!("{controller}/ata1/host0/target0:0:0/0:0:0:0");
    for (name, value) in [
        ("vendor", "ATA     "),
        ("model", "MZ7KH480HAHQ0D3 "),
        ("rev", "HF56"),
        ("block/sda/size", "937703088"),
    ] {
        sample.file(&format!("{device}/{name}"), &format!("{value}\n"));
    }
    sample.file(&format!("{controller}/ata1/ata_port/ata1/port_no"), "1\n");
    sample.link(&format!("{device}/block/sda/device"), "../../../0:0:0:0");
    sample.link("sys/block/sda", &format!("../../{device}/block/sda"));
    let nvme = "sys/devices/pci0000:80/0000:80:01.0/0000:81:00.0/nvme/nvme0";
    for (name, value) in [
        ("model", "Dell Express Flash PM1725b 1.6TB SFF    "),
        ("firmware_rev", "1.2.1   "),
        ("serial", "S4BANX0N300123"),
        ("nvme0n1/size", "3125627568"),
        ("nvme0n1/nsid", "1"),
        ("nvme0n1/wwid", "eui.36344230533001230025384500000001"),
    ] {
        sample.file(&format!("{nvme}/{name}"), &format!("{value}\n"));
    }
    sample.link(&format!("{nvme}/nvme0n1/device"), "../../nvme0");
    sample.link("sys/block/nvme0n1", &format!("../../{nvme}/nvme0n1"));
    sample.file("sys/devices/virtual/block/loop0/size", "8\n");
    sample.link("sys/block/loop0", "../devices/virtual/block/loop0");
}

#[test]
fn a_server_s_parts_are_facts_by_where_they_are() {
    insta::assert_snapshot!(lines(&server().machine().hardware()), @r##"
    cpu {"cores":"2","family":"6","model":"Intel(R) Xeon(R) Gold 6132 CPU @ 2.60GHz","model_number":"85","sockets":"2","stepping":"4","threads":"4","vendor":"GenuineIntel"}
    disk/pci-0000:00:11.5-ata-1 {"model":"MZ7KH480HAHQ0D3","size":"480103981056"}
    disk/pci-0000:81:00.0-nvme-1 {"model":"Dell Express Flash PM1725b 1.6TB SFF","size":"1600321314816"}
    machine {"board":"0H28RR","board_vendor":"Dell Inc.","board_version":"A02","family":"PowerEdge","product":"PowerEdge R640","vendor":"Dell Inc."}
    memory {"size":"8589934592"}
    network/pci-0000:18:00.0 {"driver":"i40e","driver_version":"2.8.20-k","name":"eno1"}
    pci/0000:18:00.0 {"class":"020000","driver":"i40e","id":"8086:1572","revision":"02","subsystem":"8086:0006"}
    "##);
}

#[test]
fn firmware_has_its_versions_and_its_settings_without_secrets() {
    let sample = server();
    let settings = "sys/class/firmware-attributes/dell-wmi-sysman";
    for (name, value) in [
        ("attributes/SecureBoot/current_value", "Enabled"),
        ("attributes/LogicProc/current_value", "Disabled"),
        ("attributes/LogicProc/type", "enumeration"),
        ("attributes/AdminSetupPassword/current_value", "verysecret"),
        ("attributes/Asset/current_value", "inventory 4711"),
        ("attributes/ServiceTag/current_value", "7XKQ9Z2"),
        ("attributes/pending_reboot", "0"),
        ("authentication/Admin/current_password", "verysecret"),
    ] {
        sample.file(&format!("{settings}/{name}"), &format!("{value}\n"));
    }
    insta::assert_snapshot!(lines(&sample.machine().firmware()), @r##"
    bios {"date":"06/04/2023","release":"2.19","vendor":"Dell Inc.","version":"2.19.1"}
    disk/pci-0000:00:11.5-ata-1 {"revision":"HF56"}
    disk/pci-0000:81:00.0-nvme-1 {"revision":"1.2.1"}
    microcode {"revision":"0x2007006"}
    setting/dell-wmi-sysman/LogicProc {"value":"Disabled"}
    setting/dell-wmi-sysman/SecureBoot {"value":"Enabled"}
    "##);
}

#[test]
fn nothing_that_identifies_the_machine_is_a_fact() {
    let machine = server().0;
    let machine = Machine::below(machine.path());
    let all = [machine.hardware(), machine.firmware()]
        .map(|facts| lines(&facts))
        .concat();
    for identity in ["7XKQ9Z2", "4c4c4544", "S4BANX0N300123", "e4:43:4b", "eui."] {
        assert!(!all.contains(identity), "{identity} in {all}");
    }
}

#[test]
fn the_kernel_has_a_release_and_a_command_line_without_secrets() {
    let sample = Sample::new();
    sample
        .file("proc/sys/kernel/osrelease", "6.1.0-26-amd64\n")
        .file(
            "proc/sys/kernel/version",
            "#1 SMP PREEMPT_DYNAMIC Debian 6.1.112-1 (2024-09-30)\n",
        )
        .file(
            "proc/cmdline",
            "BOOT_IMAGE=/vmlinuz-6.1.0-26-amd64 root=/dev/vda1 ro quiet password=verysecret1\n",
        );
    insta::assert_snapshot!(lines(&sample.machine().kernel()), @r##"
    command-line {"value":"BOOT_IMAGE=/vmlinuz-6.1.0-26-amd64 root=/dev/vda1 ro quiet password=***"}
    release {"release":"6.1.0-26-amd64","version":"#1 SMP PREEMPT_DYNAMIC Debian 6.1.112-1 (2024-09-30)"}
    "##);
}

#[test]
fn the_host_s_set_up_is_what_its_files_mean() {
    let sample = Sample::new();
    sample
        .file("proc/sys/kernel/hostname", "web-1\n")
        .link("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
        .file("etc/default/locale", "#  File generated by update-locale\nLANG=\"de_DE.UTF-8\"\nLC_TIME=C\n")
        .file(
            "etc/resolv.conf",
            "# Generated\nsearch example.org lan\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions edns0\n\n",
        );
    insta::assert_snapshot!(lines(&sample.machine().host()), @r##"
    locale {"LANG":"de_DE.UTF-8","LC_TIME":"C"}
    name {"value":"web-1"}
    resolver {"options":"edns0","search":"example.org lan","servers":"10.0.0.1 10.0.0.2"}
    time-zone {"value":"Europe/Berlin"}
    "##);
    let copied = Sample::new();
    copied
        .file("etc/localtime", "TZif2")
        .file("etc/timezone", "Asia/Tokyo\n");
    let facts = copied.machine().host();
    insta::assert_snapshot!(lines(&facts), @r##"time-zone {"value":"Asia/Tokyo"}"##);
}

#[test]
fn what_a_machine_does_not_show_is_no_fact() {
    let machine = Sample::new().machine();
    for facts in [
        machine.kernel(),
        machine.hardware(),
        machine.firmware(),
        machine.host(),
    ] {
        assert_eq!(facts, Facts::new());
    }
}

#[test]
fn memory_that_the_kernel_counts_is_rounded() {
    let sample = Sample::new();
    sample.file(
        "proc/meminfo",
        "MemTotal:        1987432 kB\nMemFree: 1 kB\n",
    );
    insta::assert_snapshot!(lines(&sample.machine().hardware()), @r##"memory {"size":"2147483648"}"##);
}

#[test]
fn this_machine_is_read_in_no_time() {
    let machine = Machine::below("/");
    let begun = std::time::Instant::now();
    let count = machine.hardware().len() + machine.firmware().len() + machine.kernel().len();
    assert!(count >= 3, "kernel, command line and processor at least");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert!(machine.hardware().contains_key(b"cpu".as_slice()));
    assert!(machine.kernel().contains_key(b"release".as_slice()));
}
