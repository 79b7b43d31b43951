//! Traces: one trace from the caller's span through the request, the job and the worker to the
//! vector.

use pgrecall_harness::collector::Collector;
use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::Home;
use pgrecall_harness::http::{self, JSON, Served};
use pgrecall_harness::{postgres, wait};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Returns a configuration for both programs, with traces sent to this collector.
fn config(embedder: &ScriptedEmbedder, collector: &str) -> String {
    format!("{}traces: {{ endpoint: \"{collector}\" }}\n", embedder.config(&postgres::database_now()))
}

fn call(tool: &str, arguments: &Value, meta: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

#[test]
fn a_write_is_followed_from_its_caller_to_its_vector_in_another_process() {
    let (embedder, collector) = (ScriptedEmbedder::start(), Collector::start());
    embedder.refuse_always("poison");
    let home = Home::with(&config(&embedder, &collector.url()));
    let worker = home.worker();
    let served = Served::ready(&home);
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [&JSON[..], &[("traceparent", traceparent.as_str())]].concat();

    let written = served.post(&headers, call("memory_remember", &json!({"content": "Ana owns billing."}), &json!({})));
    assert_eq!(written.status, 200, "{written:?}");
    let poison = json!({"content": "poison"});
    assert_eq!(served.post(&headers, call("memory_remember", &poison, &json!({}))).status, 200);
    let indexed = |failed: bool| {
        move |span: &pgrecall_harness::collector::Span| {
            span.name == "index" && span.trace == TRACE && span.failed == failed
        }
    };
    wait::until("the vector's span arrives", || collector.find(indexed(false)).is_some());
    wait::until("the failed one's, too", || collector.find(indexed(true)).is_some());
    let index = collector.find(indexed(false)).expect("it was just there");
    let arrived = |id: &str| {
        wait::until("the span above arrives", || collector.find(|span| span.id == id).is_some());
        collector.find(|span| span.id == id).expect("it was just there")
    };
    let above = arrived(&index.parent);
    assert_eq!((above.service.as_str(), above.name.as_str()), ("mcp-server", "store"));
    let request = arrived(&above.parent);
    assert_eq!(request.name, "tools/call memory_remember");
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, CALLER));
    assert_eq!(index.service, "embed-worker");
    // A call to the embedder serves several jobs, so its span is in the worker's own trace, to
    // which the index span links.
    let embedded = |span: &pgrecall_harness::collector::Span| span.name == "embed" && index.links.contains(&span.trace);
    wait::until("the worker's own trace arrives", || collector.find(embedded).is_some());
    assert_eq!(
        collector.find(indexed(true)).and_then(|it| it.attribute("error.type").map(str::to_owned)),
        Some("refused".into())
    );

    // A trace context in the message takes precedence over the one in the request's headers, and an
    // unreadable one is ignored.
    let other = "0af7651916cd43dd8448eb211c80319c";
    let meta = json!({"traceparent": format!("00-{other}-b7ad6b7169203331-01")});
    let query = json!({"query": "who owns billing?"});
    assert_eq!(served.post(&headers, call("memory_recall", &query, &meta)).status, 200);
    let nonsense = json!({"traceparent": "nonsense"});
    assert_eq!(served.post(&JSON, call("memory_recall", &query, &nonsense)).status, 200);
    assert_eq!(served.post(&JSON, call("memory_recall", &json!({"query": ""}), &json!({}))).status, 200);
    served.signal("TERM");
    drop(served.finish());
    let recalls: Vec<_> =
        collector.spans().into_iter().filter(|span| span.name == "tools/call memory_recall").collect();
    assert_eq!(recalls.len(), 3, "what was not sent yet is sent at the end: {recalls:?}");
    assert_eq!(recalls[0].trace, other);
    assert!(recalls[1].parent.is_empty() && recalls[1].trace != TRACE);
    assert!(recalls[2].failed && recalls[2].attribute("error.type").is_some(), "{:?}", recalls[2]);
    let below: Vec<_> =
        collector.spans().into_iter().filter(|span| span.trace == other).map(|span| span.name).collect();
    for step in ["embed_query", "plan", "small_search_set", "sources", "retrieve", "exact", "rank", "hydrate"] {
        assert!(below.iter().any(|name| name == step), "{step} is missing among {below:?}");
    }
    drop(worker.stop());
}

#[test]
fn a_collector_that_is_away_is_said_once_and_costs_nothing_else() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&config(&embedder, &format!("http://{}", http::free_address())));
    home.expect_logs(&["traces do not reach their collector"]);
    let worker = home.worker();
    let served = Served::ready(&home);
    served.ask("memory_remember", json!({"content": "Ana owns billing."}));
    wait::until("it is embedded", || served.ask("index_status", json!({}))["coverage"] == 1.0);
    wait::until("it is said", || served.stderr().contains("traces do not reach their collector"));
    served.ask("memory_recall", json!({"query": "who owns billing?"}));
    served.signal("TERM");
    let said = served.finish();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches("traces do not reach their collector").count(), 1, "{}", said.stderr);
    drop(worker.stop());
}
