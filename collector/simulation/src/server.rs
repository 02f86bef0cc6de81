//! A PostgreSQL server of a test's own, in a temporary folder and on a socket in it: it ends with whoever began it, however
//! that ends.

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use postgres::NoTls;

/// The folder of the server's programs, where it is not Debian's.
const PROGRAMS: &str = "TRACER_POSTGRES";
const DEBIAN: &str = "/usr/lib/postgresql";
/// The server refuses root; Debian's `nobody` has nothing.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_mins(1);

// It waits until its input ends, which it does at the latest when the process at its other end has ended, and then ends
// the server. What is there goes with it unless it is told to keep it. Signals that end the other process leave it alone.
const KEEPER: &str = r#"
    trap '' HUP INT TERM
    folder=$1; shift
    "$@" >> "$folder/log" 2>&1 &
    server=$!
    last=$(cat)
    kill -INT $server 2> /dev/null
    wait $server
    [ "$last" = keep ] || rm -rf "$folder"
"#;

/// A store of its own for a test, by the path of its module: on a server in `on_postgres.rs`, which has the same tests as
/// other files, and there none.
pub fn store_for(module: &str) -> Option<String> {
    module.starts_with("on_postgres").then(|| {
        let place = shared().place();
        place.expect("the server of the tests answers")
    })
}

/// One server for all tests of a process. It ends with that.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::begin().expect("PostgreSQL is there and begins"))
}

/// A server that runs.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    keeper: Option<Child>,
    stores: AtomicU32,
    /// Where it listens besides its socket, and only for TLS.
    port: Option<u16>,
}

impl Server {
    /// Makes a cluster of databases and begins to serve it.
    pub fn begin() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("postgres").tempdir();
        let folder = folder.context("make a folder for a server")?.keep();
        let server = Self {
            folder,
            programs,
            keeper: None,
            stores: AtomicU32::new(0),
            port: None,
        };
        if is_root() {
            chown(&server.folder, Some(NOBODY), Some(NOBODY)).context("give the folder away")?;
        }
        let mut initdb = server.program("initdb");
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        let made = initdb.arg("--pgdata").arg(server.data()).output();
        let made = made.context("start initdb")?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut server = server;
        server.resume()?;
        Ok(server)
    }

    /// Begins to serve again what is there.
    pub fn resume(&mut self) -> Result<()> {
        let data = self.data();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(&self.folder);
        let program = self.program("postgres");
        keeper.arg(program.get_program()).args(program.get_args());
        keeper.arg("-D").arg(data).arg("-k").arg(&self.folder);
        keeper.args(["-c", "max_connections=300"]);
        if let Some(port) = self.port {
            keeper.args(["-c", "listen_addresses=127.0.0.1,127.0.0.2", "-c", "ssl=on"]);
            keeper.arg("-c").arg(format!("port={port}"));
        } else {
            keeper.args(["-c", "listen_addresses="]);
        }
        // As on a server of some size.
        keeper.args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB"]);
        keeper.stdin(Stdio::piped()).current_dir("/");
        self.keeper = Some(keeper.spawn().context("start a server")?);
        let begun = Instant::now();
        while let Err(error) = self.say("SELECT 1") {
            ensure!(
                begun.elapsed() < PATIENCE,
                "the server does not answer: {error}; {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends the server at once: nothing that is in its memory only is written any more.
    pub fn crash(&mut self) -> Result<()> {
        let file = self.data().join("postmaster.pid");
        let pid = fs::read_to_string(file).context("find the server")?;
        let pid = pid.lines().next().context("find the server's number")?;
        let told = Command::new("kill").args(["-QUIT", pid]).status();
        ensure!(told.context("start kill")?.success(), "end the server");
        self.end("keep");
        Ok(())
    }

    /// Begins to listen on two loopback addresses as well, `127.0.0.1` and `127.0.0.2`, with a certificate and its key, for TLS
    /// alone; on which port.
    pub fn listen(&mut self, certificate: &str, key: &str) -> Result<u16> {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.data().join(name);
            fs::write(&path, text).context("write the certificate")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).context("hide it")?;
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).context("give it away")?;
            }
        }
        let rules = self.data().join("pg_hba.conf");
        let known = fs::read_to_string(&rules).context("read who may connect")?;
        let only_tls = format!("hostnossl all all all reject\n{known}");
        fs::write(&rules, only_tls).context("write who may connect")?;
        let free = TcpListener::bind("127.0.0.1:0").context("look for a port")?;
        let port = free.local_addr().context("look for a port")?.port();
        drop(free);
        self.crash()?;
        self.port = Some(port);
        self.resume()?;
        Ok(port)
    }

    /// A place for a store of its own, as `--store` has it.
    pub fn place(&self) -> Result<String> {
        let folder = self.folder.to_string_lossy().replace('/', "%2F");
        Ok(format!("postgres://postgres@{folder}{}", self.new_store()?))
    }

    /// The database and the schema of a new store, as they end a URL.
    pub fn new_store(&self) -> Result<String> {
        let number = self.stores.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("CREATE SCHEMA store_{number}"))?;
        Ok(format!("/postgres?options=-csearch_path%3Dstore_{number}"))
    }

    /// Says something to the server.
    pub fn say(&self, sql: &str) -> Result<()> {
        let say = || -> Result<()> {
            let mut config = postgres::Config::new();
            let config = config.host_path(&self.folder).user("postgres");
            // The socket's name has it.
            config.port(self.port.unwrap_or(5432));
            Ok(config.connect(NoTls)?.batch_execute(sql)?)
        };
        // The client waits, which threads of a runtime must not.
        let said = thread::scope(|scope| scope.spawn(say).join());
        let said = said.unwrap_or_else(|_| bail!("the client panicked"));
        said.with_context(|| format!("say `{sql}`"))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command
            .args([
                "--reuid",
                &nobody,
                "--regid",
                &nobody,
                "--clear-groups",
                "--",
            ])
            .arg(program);
        command.current_dir("/");
        command
    }

    fn end(&mut self, last: &str) {
        if let Some(mut keeper) = self.keeper.take() {
            let input = keeper.stdin.take();
            // It has ended, whatever it says.
            drop(input.map(|mut input| input.write_all(last.as_bytes())));
            drop(keeper.wait());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        return Ok(folder.into());
    }
    let found = fs::read_dir(DEBIAN).map(|entries| {
        let entries = entries.filter_map(io::Result::ok);
        let bins = entries.map(|entry| entry.path().join("bin"));
        bins.filter(|bin| bin.join("initdb").is_file()).max()
    });
    let Ok(Some(found)) = found else {
        bail!("there is no PostgreSQL: `cargo xtask test` fetches it, or install `postgresql-15`");
    };
    Ok(found)
}
