//! Tests of connection strings against real servers: a Postgres, and a PgBouncer for each kind of
//! TLS.

mod servers;

use std::time::Duration;

use self::servers::Servers;
use pgrecall_postgres::dsn::{Dsn, DsnError};
use pgrecall_process::tasks;

/// Connects and runs a query, so that success means a session that works.
async fn connect(dsn: &str) -> Result<String, DsnError> {
    let (client, connection) = Dsn::parse(dsn)?.connect().await?;
    let serving = tasks::connection("test", connection);
    let rows = client.query_typed("SELECT current_database()::text", &[]).await.unwrap();
    drop(client);
    serving.await.unwrap();
    Ok(rows[0].get(0))
}

async fn refused(dsn: &str) -> DsnError {
    connect(dsn).await.expect_err(dsn)
}

fn app(port: u16, rest: &str) -> String {
    format!("host=localhost port={port} user=ada password=secret dbname=app {rest}")
}

#[tokio::test]
async fn every_sslmode_reaches_a_server_with_a_certificate_for_its_name() {
    let servers = Servers::get();
    let ca = servers.file("ca.crt");
    for rest in [
        "sslmode=allow".to_owned(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=require sslrootcert={ca}"),
        format!("sslmode=verify-ca sslrootcert={ca}"),
        format!("sslmode=verify-full sslrootcert={ca}"),
    ] {
        assert_eq!(connect(&app(servers.tls, &rest)).await.expect(&rest), "app");
    }
    let url = format!("postgres://ada:secret@localhost:{}/app?sslmode=verify-full&sslrootcert={ca}", servers.tls);
    assert_eq!(connect(&url).await.unwrap(), "app");
}

#[tokio::test]
async fn a_server_that_insists_on_tls_refuses_to_go_without() {
    let servers = Servers::get();
    let error = refused(&app(servers.tls, "sslmode=disable")).await;
    assert!(matches!(error, DsnError::Pooler { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unknown_authority_is_refused_by_whoever_verifies() {
    let servers = Servers::get();
    let other = servers.file("other.crt");
    for rest in ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full"] {
        let error = refused(&app(servers.tls, &format!("{rest} sslrootcert={other}"))).await;
        assert!(matches!(error, DsnError::UnknownIssuer(_)), "{rest}: {error:?}");
    }
    let error = refused(&app(servers.tls, "sslmode=verify-full")).await;
    assert!(matches!(error, DsnError::UnknownIssuer(_) | DsnError::NoSystemRoots), "{error:?}");
}

#[tokio::test]
async fn another_hosts_certificate_passes_verify_ca_and_not_verify_full() {
    let servers = Servers::get();
    let at_address = |rest: &str| app(servers.tls, rest).replace("host=localhost", "host=127.0.0.1");
    let ca = servers.file("ca.crt");
    assert!(connect(&at_address(&format!("sslmode=verify-ca sslrootcert={ca}"))).await.is_ok());
    let error = refused(&at_address(&format!("sslmode=verify-full sslrootcert={ca}"))).await;
    assert!(matches!(&error, DsnError::WrongName { names, .. } if names.concat().contains("localhost")), "{error:?}");
    // `hostaddr` is the address to connect to; `host` is the name to verify.
    let both = format!("{} hostaddr=127.0.0.1", app(servers.tls, &format!("sslmode=verify-full sslrootcert={ca}")));
    assert!(connect(&both).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_trusted_when_it_is_named() {
    let servers = Servers::get();
    let itself = servers.file("self.crt");
    assert!(connect(&app(servers.self_signed, &format!("sslmode=verify-ca sslrootcert={itself}"))).await.is_ok());
    let error = refused(&app(servers.self_signed, &format!("sslmode=verify-full sslrootcert={itself}"))).await;
    assert!(matches!(error, DsnError::WrongName { .. }), "{error:?}");
    assert!(connect(&app(servers.self_signed, "sslmode=require")).await.is_ok());
}

#[tokio::test]
async fn a_client_certificate_opens_a_server_that_asks_for_one() {
    let servers = Servers::get();
    let identity =
        format!("sslmode=require sslcert={} sslkey={}", servers.file("client.crt"), servers.file("client.key"));
    assert!(connect(&app(servers.mutual, &identity)).await.is_ok());
    let error = refused(&app(servers.mutual, "sslmode=require")).await;
    assert!(matches!(error, DsnError::Handshake { .. } | DsnError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_reached_unless_tls_was_asked_for() {
    let servers = Servers::get();
    for port in [servers.plain, servers.postgres] {
        for mode in ["disable", "allow", "prefer"] {
            assert!(connect(&app(port, &format!("sslmode={mode}"))).await.is_ok(), "{mode}");
        }
        for mode in ["require", "verify-full"] {
            let error = refused(&app(port, &format!("sslmode={mode} sslrootcert={}", servers.file("ca.crt")))).await;
            assert!(matches!(error, DsnError::NoTls { .. }), "{mode}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_login_that_fails_says_what_was_wrong_with_it() {
    let servers = Servers::get();
    let with = |port: u16, from: &str, to: &str| app(port, "").replace(from, to);
    let (wrong, missing) = (("password=secret", "password=guess"), ("dbname=app", "dbname=nowhere"));
    let error = refused(&with(servers.postgres, wrong.0, wrong.1)).await;
    assert!(matches!(&error, DsnError::WrongPassword(user) if user == "ada"), "{error:?}");
    let error = refused(&with(servers.postgres, missing.0, missing.1)).await;
    assert!(matches!(&error, DsnError::NoDatabase(name) if name == "nowhere"), "{error:?}");
    for port in [servers.postgres, servers.plain] {
        let error = refused(&with(port, "password=secret", "")).await;
        assert!(matches!(error, DsnError::NoPassword { .. }), "{error:?}");
    }
    for (from, to) in [wrong, missing] {
        let error = refused(&with(servers.plain, from, to)).await;
        assert!(matches!(error, DsnError::Pooler { .. } | DsnError::NoDatabase(_)), "{error:?}");
        assert!(!error.to_string().contains("guess"));
    }
    let error = refused(&app(servers.postgres, "").replace("user=ada", "user=eve")).await;
    assert!(matches!(error, DsnError::NotAllowed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_socket_is_reached_in_both_forms() {
    let servers = Servers::get();
    let (folder, port) = (servers.socket(), servers.postgres);
    assert!(connect(&format!("host={folder} port={port} user=ada dbname=app sslmode=require")).await.is_ok());
    let encoded = folder.replace('/', "%2F");
    assert!(connect(&format!("postgres://ada@{encoded}:{port}/app")).await.is_ok());
    assert!(connect(&format!("postgres:///app?host={folder}&port={port}&user=ada")).await.is_ok());
}

#[tokio::test]
async fn the_first_host_that_answers_is_taken() {
    let servers = Servers::get();
    let folder = servers.socket();
    let dsn = format!("host={folder},{folder} port=1,{} user=ada dbname=app", servers.postgres);
    assert!(connect(&dsn).await.is_ok());
}

#[tokio::test]
async fn a_pooled_connection_that_died_or_lost_its_primary_is_replaced() {
    let servers = Servers::get();
    let dsn =
        Dsn::parse(&app(servers.tls, &format!("sslmode=verify-full sslrootcert={}", servers.file("ca.crt")))).unwrap();
    assert!(dsn.pool(2).get().await.is_ok(), "through a transaction pooler");

    let pool = Dsn::parse(&app(servers.postgres, "")).unwrap().pool(2);
    let backend =
        async || -> i32 { pool.get().await.unwrap().query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0) };
    let first = backend().await;
    assert_eq!(backend().await, first, "a good connection is used again");

    // The pool reuses a connection without a check for half a second only.
    let rested = async || tokio::time::sleep(Duration::from_millis(600)).await;
    let demote = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
    pool.get().await.unwrap().batch_execute(demote).await.unwrap();
    rested().await;
    let second = backend().await;
    assert_ne!(second, first);

    let other = Dsn::parse(&app(servers.postgres, "")).unwrap().pool(1);
    other.get().await.unwrap().execute("SELECT pg_terminate_backend($1)", &[&second]).await.unwrap();
    rested().await;
    assert_ne!(backend().await, second);
}

#[tokio::test]
async fn a_pool_that_fails_says_why_as_a_connection_does() {
    let servers = Servers::get();
    let dsn = Dsn::parse(&app(servers.plain, "sslmode=require")).unwrap();
    let error = dsn.pool(1).get().await.err().unwrap();
    assert!(matches!(dsn.explain_pool(error, 1).await, DsnError::NoTls { .. }));

    let dsn = Dsn::parse(&app(servers.postgres, "")).unwrap();
    let pool = dsn.pool(1);
    let _held = pool.get().await.unwrap();
    let timeouts = deadpool_postgres::Timeouts { wait: Some(Duration::from_millis(10)), ..pool.timeouts() };
    let error = pool.timeout_get(&timeouts).await.err().unwrap();
    assert!(matches!(dsn.explain_pool(error, 1).await, DsnError::PoolBusy(1)));
}
