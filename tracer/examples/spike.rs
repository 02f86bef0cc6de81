//! Temporary.
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;
struct P;
impl tracer::decode::Places for P {
    fn root(&self, _: u32) -> Option<change::Text> { Some("/watched".into()) }
    fn mount(&self, _: u32) -> Option<change::Text> { Some("/".into()) }
    fn device(&self, _: u64) -> Option<change::Text> { Some("/DEV".into()) }
}
fn main() {
    let t = std::time::Instant::now();
    let (mut probes, mut records) = match tracer::probes::Probes::load(tracer::probes::Scope::All) { Ok(p)=>p, Err(e)=>{ println!("ERR {e} {:?}", e); return } };
    println!("loaded in {:?}", t.elapsed());
    for c in probes.checks() { if c.state != change::wire::CheckState::Ok { println!("{c:?}"); } }
    std::fs::create_dir_all("/watched").unwrap();
    let m = std::fs::metadata("/watched").unwrap();
    probes.watch(1, m.st_dev(), m.st_ino(), false).unwrap();
    let script = std::env::args().nth(1).unwrap();
    let mut child = std::process::Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    child.wait().unwrap();
    let mut d = tracer::decode::Decoder::default();
    let f = std::io::stdin();
    records.wait(std::time::Duration::from_millis(50), f.as_fd());
    records.drain(|r| match d.decode(r, change::Timestamp::from_nanos(0), &P) {
        Ok(Some(o)) => println!("{} {:?} {:?}", o.time, match &o.who { tracer::observed::Who::Task(t) => format!("{}<{} tty={:?} cg={} mnt={} pidns={} sid={} au={:?} uid={}", t.process.pid, t.parent, t.tty, t.cgroup, t.mount_ns, t.pid_ns, t.posix_session, t.audit_session, t.uid), _ => String::new() }, o.event),
        Ok(None) => {},
        Err(e) => println!("decode {e}"),
    });
    println!("lost {:?} abandoned {}", probes.lost(), d.abandoned());
}
