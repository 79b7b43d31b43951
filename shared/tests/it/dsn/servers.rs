//! The servers of the tests: one Postgres, and a PgBouncer for each kind of TLS.
//!
//! They need the runtime's Postgres, `pgbouncer` and `openssl`. All files are in a temporary
//! folder, which is removed after the last test that uses it. If the tests run as root, the servers
//! run as `nobody`.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The user of the servers if the tests run as root.
const NOBODY: u32 = 65534;
/// The timeout for the start of a server, even on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The servers and their ports.
pub(crate) struct Servers {
    folder: PathBuf,
    bin: PathBuf,
    children: Vec<Child>,
    /// A Postgres without TLS.
    pub(crate) postgres: u16,
    /// A PgBouncer that requires TLS, with a certificate of the authority for `localhost`.
    pub(crate) tls: u16,
    /// A PgBouncer without TLS.
    pub(crate) plain: u16,
    /// A PgBouncer that requires TLS, with a self-signed certificate for `self.example` only.
    pub(crate) self_signed: u16,
    /// A PgBouncer that requires a client certificate of the authority.
    pub(crate) mutual: u16,
}

impl Servers {
    /// Returns the servers of this run; the first test that needs them starts them.
    pub(crate) fn get() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Servers>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let servers = Arc::new(Self::start());
            *running = Arc::downgrade(&servers);
            servers
        })
    }

    /// Returns the path of a file in the servers' folder, for a connection string.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Returns the folder of Postgres's socket.
    pub(crate) fn socket(&self) -> String {
        self.folder.display().to_string()
    }

    fn start() -> Self {
        // Numbered, since the previous servers may still be stopping.
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pgrecall-dsn-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let ports: Vec<u16> = free_ports(5);
        let mut servers = Self {
            folder,
            bin: pgrecall_harness::postgres::runtime().postgres().bin,
            children: Vec::new(),
            postgres: ports[0],
            tls: ports[1],
            plain: ports[2],
            self_signed: ports[3],
            mutual: ports[4],
        };
        servers.certificates();
        give_away(&servers.folder);
        servers.start_postgres();
        servers.start_pgbouncer(servers.plain, "client_tls_sslmode = disable");
        let tls = |certificate: &str, mode: &str| {
            let file = |name: &str| servers.folder.join(name).display().to_string();
            format!(
                "client_tls_sslmode = {mode}\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\nclient_tls_ca_file = {}\n",
                file(&format!("{certificate}.crt")),
                file(&format!("{certificate}.key")),
                file("ca.crt"),
            )
        };
        let (by_authority, by_itself) = (tls("server", "require"), tls("self", "require"));
        let mutual = tls("server", "verify-ca");
        servers.start_pgbouncer(servers.tls, &by_authority);
        servers.start_pgbouncer(servers.self_signed, &by_itself);
        servers.start_pgbouncer(servers.mutual, &mutual);
        servers
    }

    /// Makes an authority, a server and a client certificate from it, a self-signed certificate,
    /// and a second authority.
    fn certificates(&self) {
        for (name, subject) in [("ca", "/CN=Test authority"), ("other", "/CN=Another authority")] {
            self.openssl(&[
                "req",
                "-x509",
                "-subj",
                subject,
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.crt"),
            ]);
        }
        for (name, extension) in [("server", "subjectAltName=DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")]
        {
            let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
            self.openssl(&["req", "-subj", "/CN=ada", "-addext", extension, "-keyout", &key, "-out", &request]);
            let sign =
                ["x509", "-req", "-in", &request, "-copy_extensions", "copy", "-CA", "ca.crt", "-CAkey", "ca.key"];
            run(self.command("openssl").args(sign).args(["-out", &certificate]));
        }
        let itself = ["req", "-x509", "-subj", "/CN=self.example", "-addext", "subjectAltName=DNS:self.example"];
        self.openssl(&[&itself[..], &["-keyout", "self.key", "-out", "self.crt"]].concat());
    }

    fn openssl(&self, arguments: &[&str]) {
        run(self.command("openssl").args(arguments).args([
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]));
    }

    fn start_postgres(&mut self) {
        let data = self.folder.join("data");
        let initdb = self.bin.join("initdb");
        run(drop_root(
            self.command(initdb.to_str().unwrap())
                .args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"])
                .arg(&data),
        ));
        let rules = "local all all trust\nhost all ada 127.0.0.1/32 scram-sha-256\nhost all eve 127.0.0.1/32 reject\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let mut postgres = self.command(self.bin.join("postgres").to_str().unwrap());
        postgres.arg("-D").arg(&data).arg("-k").arg(&self.folder);
        postgres.args(["-p", &self.postgres.to_string(), "-h", "127.0.0.1", "-c", "fsync=off"]);
        self.run_server(&mut postgres, self.postgres);
        let ready = Instant::now();
        while !self.psql("SELECT 1").status().unwrap().success() {
            assert!(ready.elapsed() < SOON, "Postgres did not get ready");
            std::thread::yield_now();
        }
        run(&mut self.psql("CREATE ROLE ada LOGIN SUPERUSER PASSWORD 'secret'; CREATE ROLE eve LOGIN"));
        run(&mut self.psql("CREATE DATABASE app"));
    }

    fn psql(&self, sql: &str) -> Command {
        let mut psql = self.command(self.bin.join("psql").to_str().unwrap());
        psql.args([
            "-qAt",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-h",
            &self.socket(),
            "-p",
            &self.postgres.to_string(),
            "-c",
            sql,
        ]);
        psql.stdout(Stdio::null()).stderr(Stdio::null());
        psql
    }

    fn start_pgbouncer(&mut self, port: u16, tls: &str) {
        let users = self.folder.join("users.txt");
        fs::write(&users, "\"ada\" \"secret\"\n").unwrap();
        let settings = format!(
            "[databases]\napp = host={} port={} dbname=app\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n{tls}\n",
            self.socket(),
            self.postgres,
            users.display(),
        );
        let file = self.folder.join(format!("pgbouncer-{port}.ini"));
        fs::write(&file, settings).unwrap();
        let mut pgbouncer = self.command("pgbouncer");
        pgbouncer.arg(&file);
        self.run_server(&mut pgbouncer, port);
    }

    fn run_server(&mut self, server: &mut Command, port: u16) {
        let log = fs::File::create(self.folder.join(format!("log-{port}"))).unwrap();
        server.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        self.children.push(drop_root(server).spawn().expect("the server's program runs: use scripts/test"));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < SOON, "the server on port {port} did not start: see {}", self.folder.display());
            std::thread::yield_now();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // A killed Postgres leaves shared memory behind, so pg_ctl stops it.
        let mut stop = self.command(self.bin.join("pg_ctl").to_str().unwrap_or_default());
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.folder.join("data"));
        let _ = drop_root(&mut stop).status();
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Gives a folder and the files in it to the servers' user.
fn give_away(folder: &Path) {
    if is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

fn drop_root(command: &mut Command) -> &mut Command {
    if is_root() { command.gid(NOBODY).uid(NOBODY) } else { command }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} cannot run: {error}"));
    if !output.status.success() {
        std::io::stderr().write_all(&output.stderr).unwrap();
        panic!("{command:?} failed");
    }
}
