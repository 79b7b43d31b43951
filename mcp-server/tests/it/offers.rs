//! Tests of what a host can use besides tools: resources, prompts, and completions.

use serde_json::{Value, json};

use crate::home::Home;

#[test]
fn a_record_is_a_resource_by_its_kind_and_id() {
    let home = Home::ready();
    let mut host = home.host();
    let kept = host.ask("memory_remember", json!({"content": "The archive is in the cellar."}));
    let saved = host.ask("save", json!({"title": "Floor plan", "content": "Cellar, ground floor, attic."}));
    let templates = host.request("resources/templates/list", json!({}));
    let templates = templates["result"]["resourceTemplates"].as_array().unwrap().clone();
    assert!(templates.iter().any(|template| template["uriTemplate"] == "memory://{id}"), "{templates:?}");

    let listed = host.request("resources/list", json!({}));
    let listed = listed["result"]["resources"].as_array().unwrap().clone();
    let uri = format!("memory://{}", kept["id"].as_str().unwrap());
    assert!(listed.iter().any(|resource| resource["uri"] == uri.as_str()), "{listed:?}");
    let read = host.request("resources/read", json!({"uri": uri}));
    assert_eq!(read["result"]["contents"][0]["text"], "The archive is in the cellar.", "{read}");
    // An id of another kind, an id of nothing, and an invalid URI: each gets an error, and the
    // session continues.
    for odd in [format!("memory://{}", saved["id"].as_str().unwrap()), "memory://x".into(), "file:///etc/passwd".into()]
    {
        let refused = host.request("resources/read", json!({"uri": odd}));
        assert!(refused["error"]["message"].is_string(), "{refused}");
    }
    for _ in 0..55 {
        host.ask("memory_remember", json!({"content": format!("Box {} is empty.", rand())}));
    }
    let first = host.request("resources/list", json!({}));
    let cursor = first["result"]["nextCursor"].clone();
    let second = host.request("resources/list", json!({"cursor": cursor}));
    let count = |page: &Value| page["result"]["resources"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), second["result"]["nextCursor"].is_null()), (50, 7, true));
    assert!(host.request("resources/list", json!({"cursor": "forged"}))["error"].is_object());
}

/// Returns a number that no earlier call has returned.
fn rand() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn prompts_are_ours_and_those_that_somebody_saved() {
    let home = Home::ready();
    let mut host = home.host();
    host.ask(
        "save",
        json!({"kind": "prompt", "title": "Summarise an incident", "content": "Summarise {incident} for {audience}.",
                            "tags": ["incidents"], "collection": "runbooks"}),
    );
    let listed = host.request("prompts/list", json!({}));
    let names: Vec<String> = listed["result"]["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|prompt| prompt["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names[..3], ["recall_before_you_answer", "save_what_you_learned", "answer_with_citations"]);
    let saved = names.iter().find(|name| name.starts_with("summarise_an_incident_")).unwrap();
    let arguments = json!({"incident": "the outage of May", "audience": "the board"});
    let got = host.request("prompts/get", json!({"name": saved, "arguments": arguments}));
    assert_eq!(got["result"]["messages"][0]["content"]["text"], "Summarise the outage of May for the board.", "{got}");
    let missing = host.request("prompts/get", json!({"name": saved, "arguments": {"incident": "x"}}));
    assert!(missing["error"]["message"].as_str().unwrap().contains("`audience`"), "{missing}");
    let own = host.request("prompts/get", json!({"name": names[0], "arguments": {"question": "Who owns billing?"}}));
    assert!(own["result"]["messages"][0]["content"]["text"].as_str().unwrap().ends_with("Who owns billing?"), "{own}");
    let unknown = host.request("prompts/get", json!({"name": "nonsense"}));
    assert!(unknown["error"]["message"].as_str().unwrap().contains("prompts/list"), "{unknown}");

    let mut complete = |argument: &str, value: &str| {
        let reference = json!({"type": "ref/prompt", "name": "answer_with_citations"});
        let asked = json!({"ref": reference, "argument": {"name": argument, "value": value}});
        host.request("completion/complete", asked)["result"]["completion"]["values"].clone()
    };
    assert_eq!(complete("tag", "INC"), json!(["incidents"]));
    assert_eq!(complete("collection", "run"), json!(["runbooks"]));
    assert_eq!(complete("kind", "a"), json!(["asset", "api_operation"]));
    assert_eq!(complete("question", "w"), json!([]));
}
