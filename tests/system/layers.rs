//! The layers: the dependencies that each crate may have in Cargo.toml.
//! `docs/decisions/0031-crates-by-weight.md` has the reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The crates of this workspace that each crate names: those that it needs, and no crate above it.
const LAYERS: [(&str, &[&str]); 15] = [
    ("pgrecall-record", &[]),
    ("pgrecall-process", &["pgrecall-record"]),
    ("pgrecall-embedder", &["pgrecall-record"]),
    ("pgrecall-postgres", &["pgrecall-process", "pgrecall-record"]),
    ("pgrecall-access", &["pgrecall-postgres"]),
    ("pgrecall-config", &["pgrecall-postgres", "pgrecall-process", "pgrecall-record"]),
    ("pgrecall-runtime", &["pgrecall-postgres", "pgrecall-process", "pgrecall-record"]),
    ("pgrecall-store", &["pgrecall-postgres", "pgrecall-process", "pgrecall-record"]),
    (
        "shared",
        &[
            "pgrecall-config",
            "pgrecall-embedder",
            "pgrecall-postgres",
            "pgrecall-process",
            "pgrecall-record",
            "pgrecall-runtime",
            "pgrecall-store",
        ],
    ),
    (
        "embed-worker",
        &[
            "pgrecall-access",
            "pgrecall-config",
            "pgrecall-embedder",
            "pgrecall-postgres",
            "pgrecall-process",
            "pgrecall-store",
            "shared",
        ],
    ),
    (
        "pgrecall-callers",
        &[
            "pgrecall-access",
            "pgrecall-config",
            "pgrecall-postgres",
            "pgrecall-process",
            "pgrecall-record",
            "pgrecall-store",
            "shared",
        ],
    ),
    ("pgrecall-ingest", &["pgrecall-postgres", "pgrecall-process", "pgrecall-record", "pgrecall-store", "shared"]),
    (
        "pgrecall-server",
        &[
            "pgrecall-access",
            "pgrecall-callers",
            "pgrecall-config",
            "pgrecall-embedder",
            "pgrecall-postgres",
            "pgrecall-process",
            "pgrecall-record",
            "pgrecall-store",
            "shared",
        ],
    ),
    (
        "pgrecall-cli",
        &[
            "embed-worker",
            "pgrecall-access",
            "pgrecall-callers",
            "pgrecall-config",
            "pgrecall-embedder",
            "pgrecall-ingest",
            "pgrecall-postgres",
            "pgrecall-process",
            "pgrecall-record",
            "pgrecall-runtime",
            "pgrecall-server",
            "pgrecall-store",
            "shared",
        ],
    ),
    ("mcp-server", &["pgrecall-cli"]),
];

/// Third-party crates that only one of our crates may name, because they are heavy or parse input
/// that may be hostile.
const KEPT_BY: [(&str, &str); 6] = [
    ("html5gum", "pgrecall-ingest"),
    ("pdf-extract", "pgrecall-ingest"),
    ("rmcp", "pgrecall-server"),
    ("rten", "pgrecall-embedder"),
    ("safetensors", "pgrecall-runtime"),
    ("tokenizers", "pgrecall-embedder"),
];

/// Crates that a crate must not depend on, directly or through others.
const OUT_OF_REACH: [(&str, &[&str]); 2] = [
    ("pgrecall-record", &["tokio", "tokio-postgres"]),
    ("pgrecall-store", &["axum", "hyper", "rten", "tokenizers", "ureq"]),
];

/// The dependencies of each package in Cargo's graph, without dev- and build-dependencies.
struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    fn read() -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--offline", "--locked", "--manifest-path", root])
            // Packages of other platforms need not be downloaded.
            .args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's JSON");
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let name_of = |id: &Value| {
            let of_id = |package: &&Value| package["id"] == *id;
            let packages = metadata["packages"].as_array().expect("packages");
            packages.iter().find(of_id).expect("a package of the graph")["name"].as_str().expect("a name").to_owned()
        };
        let is_normal = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let names = list(&node["deps"]).iter().filter(|it| is_normal(it)).map(|it| name_of(&it["pkg"])).collect();
            graph.entry(name_of(&node["id"])).or_default().extend::<BTreeSet<_>>(names);
        }
        Self(graph)
    }

    /// Returns the direct and indirect dependencies of a crate.
    fn reached<'g>(&'g self, krate: &'g str) -> BTreeSet<&'g str> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![krate]);
        while let Some(krate) = open.pop() {
            open.extend(self.0[krate].iter().map(String::as_str).filter(|it| reached.insert(*it)));
        }
        reached
    }
}

#[test]
fn each_crate_names_only_the_crates_of_its_layer() {
    let graph = Graph::read();
    let for_tests = ["pgrecall-harness", "pgrecall-generators"];
    for krate in graph.0.keys().filter(|krate| krate.starts_with("pgrecall-") && !for_tests.contains(&krate.as_str())) {
        assert!(LAYERS.iter().any(|(name, _)| name == krate), "{krate}: a crate needs a line in the layers");
    }
    for (krate, allowed) in LAYERS {
        let ours = |it: &&str| LAYERS.iter().any(|(name, _)| name == it) || it.starts_with("pgrecall-");
        let named: Vec<&str> = graph.0[krate].iter().map(String::as_str).filter(ours).collect();
        assert_eq!(named, allowed, "{krate}: another layer needs a reason, and a line here");
    }
}

#[test]
fn heavy_and_hostile_things_are_reached_through_one_crate() {
    let graph = Graph::read();
    for (heavy, keeper) in KEPT_BY {
        let ours = graph.0.iter().filter(|(name, _)| LAYERS.iter().any(|(it, _)| it == name));
        let named: Vec<&str> = ours.filter(|(_, uses)| uses.contains(heavy)).map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, [keeper], "{heavy}");
    }
    for (krate, out_of_reach) in OUT_OF_REACH {
        let reached = graph.reached(krate);
        for other in out_of_reach {
            assert!(!reached.contains(other), "{krate} reaches {other}");
        }
    }
    assert!(!graph.reached("pgrecall-server").contains("pdf-extract"));
}

#[test]
fn the_crates_at_the_bottom_are_tested_without_the_harness() {
    let manifest = |krate: &str| {
        let path = format!("{}/../shared/{krate}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("a manifest")
    };
    for krate in ["record", "process", "postgres", "config"] {
        assert!(!manifest(krate).contains("harness"), "{krate}");
    }
}
