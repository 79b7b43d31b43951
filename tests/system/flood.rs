//! Idle connections: however many there are, a request is answered.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pgrecall_harness::home::{DATABASE_FAILS, Home};
use pgrecall_harness::http::{self, Served};
use pgrecall_harness::programs::Program;
use pgrecall_harness::wait;

/// The number of sockets in a flood.
const SOCKETS: usize = 5_000;
/// How long a probe may take.
const PROBED: Duration = Duration::from_secs(1);

/// A flood uses a quarter of the files that a process may open, so these tests run one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Opens [`SOCKETS`] connections, and sends `said` on each and nothing more.
fn flood(address: SocketAddr, said: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("the kernel takes it");
        stream.write_all(said).ok();
        stream
    };
    (0..SOCKETS).map(connect).collect()
}

fn assert_answers(address: SocketAddr, what: &str) {
    let begun = Instant::now();
    let answer = http::send(address, "GET", "/healthz", &[], b"");
    assert_eq!(answer.map(|answer| answer.status), Some(200), "{what}");
    assert!(begun.elapsed() < PROBED, "{what}: {:?}", begun.elapsed());
}

/// Starts a program that may have only 1,024 files open, as many systems set the limit.
fn with_1024_files(home: &Home, program: &str, arguments: &[&str]) -> Program {
    let command = home.command(program, arguments);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 1024 && exec \"$@\"", "sh"]).arg(command.get_program()).args(arguments);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    home.start_other(&limited)
}

#[test]
fn probes_are_answered_within_a_second_under_five_thousand_idle_sockets_on_any_port() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    pgrecall_process::open_files::raise_limit();
    let [metrics, worker] = [(); 2].map(|()| http::free_address());
    let home = Home::with(&format!(
        "memory: {{ embedding: {{ provider: noop }} }}\nserver: {{ metrics_address: \"{metrics}\" }}\n\
         database: {{ dsn: \"postgres://u:p@{}/x\" }}\napigateway: {{ embed_jobs: {{ address: \"{worker}\" }} }}\n",
        http::free_address()
    ));
    home.expect_logs(DATABASE_FAILS);
    let serve = ["serve", "--transport", "http", "--address", "127.0.0.1:0"];
    let served = Served::started(with_1024_files(&home, "mcp-server", &serve));
    let _worker = with_1024_files(&home, "embed-worker", &[]);
    wait::until("all ports answer", || {
        let answers = |address| http::send(address, "GET", "/healthz", &[], b"").is_some_and(|it| it.status == 200);
        answers(metrics) && answers(worker)
    });
    for (flooded, name) in [(served.address, "main"), (metrics, "metrics"), (worker, "worker")] {
        for said in [&b""[..], b"GET /healthz HTT"] {
            let sockets = flood(flooded, said);
            assert_answers(flooded, &format!("the {name} port itself"));
            for (other, what) in [(served.address, "main"), (metrics, "metrics"), (worker, "worker")] {
                assert_answers(other, &format!("the {what} port under a flood of the {name} port"));
            }
            drop(sockets);
        }
    }
    assert!(!served.stderr().contains("could not accept"), "{}", served.stderr());
}

#[test]
fn https_is_answered_under_thousands_of_connections_that_begin_no_handshake_or_none_that_ends() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    pgrecall_process::open_files::raise_limit();
    let mut home = Home::new();
    home.expect_logs(DATABASE_FAILS);
    let (certificate, key) = (home.folder().join("tls.pem"), home.folder().join("tls.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj"]);
    openssl.args(["/CN=test", "-days", "2", "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    assert!(openssl.output().unwrap().status.success());
    home.configure(&format!(
        "server: {{ tls: {{ certificate: {certificate:?}, key: {key:?} }} }}\nmemory: {{ embedding: {{ provider: noop }} }}\n\
         database: {{ dsn: \"postgres://u:p@{}/x\" }}\n",
        http::free_address()
    ));
    let serve = ["serve", "--transport", "http", "--address", "127.0.0.1:0"];
    let served = Served::started(with_1024_files(&home, "mcp-server", &serve));
    // Nothing, and the first bytes of a ClientHello.
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let sockets = flood(served.address, said);
        let request = "printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'";
        let script = format!("{request} | openssl s_client -quiet -connect {} 2>/dev/null", served.address);
        let begun = Instant::now();
        let answer = Command::new("sh").args(["-c", &script]).output().unwrap();
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.contains("200 OK"), "{answer}");
        assert!(begun.elapsed() < PROBED * 2, "{:?}, a start of openssl included", begun.elapsed());
        drop(sockets);
    }
}
