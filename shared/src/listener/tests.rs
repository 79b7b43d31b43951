use std::io::{Read, Write};
use std::net::TcpStream;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::*;

/// A timeout that no test reaches, even on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A listener on a free port that stops with the test.
struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Tasks,
}

impl Listening {
    async fn start(routes: Router, limits: Limits) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), CancellationToken::new());
        let service = Service { name: "test", handshake: Plain, routes, limits, proxies: Proxies::default() };
        let tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("listener", serve(socket, service, stop.clone(), Duration::from_secs(1)));
        Self { address, stop, tasks }
    }

    async fn end(self) {
        self.stop.cancel();
        assert!(self.tasks.stop(SOON).await.is_empty());
    }
}

fn limits() -> Limits {
    Limits::of(16)
}

/// Sends a request, and returns everything that comes back until the connection ends.
fn said(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Reports when it is dropped.
struct Gone(mpsc::Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.try_send(()).ok();
    }
}

// A peer that does not read would otherwise hold the memory of its answer without a limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_nothing_is_let_go_with_what_it_was_sent() {
    let (gone, mut dropped) = mpsc::channel(1);
    let endless = get(move || {
        let held = Gone(gone.clone());
        let piece = move |()| {
            let _held = &held;
            std::future::ready(Some((Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 64 * 1024])), ())))
        };
        std::future::ready(Body::from_stream(stream::unfold((), piece)))
    });
    let limits = Limits { unread: Duration::from_millis(200), ..limits() };
    let listening = Listening::start(Router::new().route("/", endless), limits).await;
    let mut silent = TcpStream::connect(listening.address).unwrap();
    silent.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(timeout(SOON, dropped.recv()).await.is_ok(), "its answer is still held");
    drop(silent);
    listening.end().await;
}

// Closing the socket with an unread body would reset the connection before the peer reads the
// answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_refused_in_the_middle_of_its_request_reads_the_answer() {
    let refuse = post(|| std::future::ready((StatusCode::UNAUTHORIZED, "no")));
    let listening = Listening::start(Router::new().route("/", refuse), limits()).await;
    let length = 8 * 1024 * 1024;
    let mut request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    request.resize(request.len() + length, b' ');
    let address = listening.address;
    let answer = spawn_blocking(move || said(address, &request)).await.unwrap().expect("it can write all and read");
    assert!(answer.starts_with("HTTP/1.1 401") && answer.ends_with("no"), "{answer}");
    listening.end().await;
}

// A client that never completes the head of a request must not hold a connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_head_does_not_end_is_given_up_and_one_that_waits_for_its_answer_is_not() {
    let (release, released) = tokio::sync::watch::channel(false);
    let slow = get(move || {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.ok();
            "late"
        }
    });
    let limits = Limits { request_head: Duration::from_millis(100), idle: Duration::from_millis(100), ..limits() };
    let listening = Listening::start(Router::new().route("/", slow), limits).await;
    let address = listening.address;
    let half = spawn_blocking(move || said(address, b"GET / HTTP/1.1\r\nHos"));
    let whole = spawn_blocking(move || said(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(half.await.unwrap().unwrap(), "");
    release.send_replace(true);
    let answer = whole.await.unwrap().unwrap();
    assert!(answer.ends_with("late"), "{answer}");
    listening.end().await;
}

// Idle connections must not lock other clients out.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_listener_answers_those_who_ask_and_waits_when_everybody_does() {
    let (begun, mut requests) = mpsc::channel::<()>(8);
    let (release, released) = tokio::sync::watch::channel(false);
    let hold = get(move || {
        let (begun, mut released) = (begun.clone(), released.clone());
        async move {
            begun.send(()).await.ok();
            released.wait_for(|released| *released).await.ok();
            "held"
        }
    });
    let routes = Router::new().route("/hold", hold).route("/", get(|| async { "ok" }));
    let listening = Listening::start(routes, Limits::of(2)).await;
    let address = listening.address;
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        spawn_blocking(move || said(address, request.as_bytes()).unwrap())
    };
    let held = ask("/hold");
    requests.recv().await.unwrap();
    let idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(ask("/").await.unwrap().ends_with("ok"));
    let also_held = ask("/hold");
    requests.recv().await.unwrap();
    let mut waits = ask("/");
    assert!(timeout(Duration::from_millis(200), &mut waits).await.is_err(), "both connections are in use");
    release.send(true).unwrap();
    for answer in [held, also_held] {
        assert!(answer.await.unwrap().ends_with("held"));
    }
    assert!(waits.await.unwrap().ends_with("ok"));
    drop(idle);
    listening.end().await;
}
