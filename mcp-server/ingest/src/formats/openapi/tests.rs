//! Tests of API descriptions, both valid and malicious ones.

use pgrecall_record::source::{MAX_DETAILS_BYTES, Record};
use serde_json::{Value, json};

use super::*;
use crate::{
    Options,
    batch::{Batch, gather},
    ingest::read_origin,
    origin::from_bytes,
};

fn ingest(name: &str, text: &str) -> Batch {
    let mut batch = Batch::default();
    from_bytes(name, text.as_bytes(), true, |origin| {
        batch = gather(|out| read_origin(origin, &Options::default(), out).map(|_| ()));
    });
    batch
}

fn record(batch: &Batch, key: &str) -> Record {
    let ends = format!("#{key}");
    let is_it = |record: &Record| record.fields.key.as_deref().is_some_and(|key| key.ends_with(&ends));
    let found = batch.records.iter().find(|(_, record)| is_it(record));
    found.unwrap_or_else(|| panic!("no {key} in {:?}", batch.problems)).1.clone()
}

#[test]
fn half_of_a_character_and_a_number_out_of_range_cost_no_operation() {
    let text = r#"{"openapi":"3.0.0","info":{"title":"Sur","version":"1"},"paths":{
        "/a":{"get":{"summary":"list a","description":"cut \ud83d","responses":{}}},
        "/b":{"get":{"summary":"list b","parameters":[{"name":"n","in":"query","schema":{"maximum":1e400}}],"responses":{}}}}}"#;
    let batch = ingest("cut.json", text);
    assert!(record(&batch, "GET /a").body.contains("cut \u{fffd}"));
    record(&batch, "GET /b");
    let [(place, Problem::Noted(note))] = batch.problems.as_slice() else { panic!("{:?}", batch.problems) };
    assert_eq!(place.part, Part::Whole);
    assert!(note.contains("U+FFFD") && note.contains("schema.maximum` is 1e400"), "{note}");
}

const SHOP: &str = r##"
openapi: 3.0.3
info: {title: Shop, version: "2.1"}
servers: [{url: "https://shop.example"}, {url: "javascript:alert(1)"}, {url: "{scheme}://shop.example"}]
security: [{key: []}]
paths:
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, description: The order's number., schema: {type: integer}}
    get:
      operationId: getOrder
      summary: One order
      description: Finds an order by its number.
      tags: [orders]
      deprecated: true
      parameters: [{$ref: "#/components/parameters/Fields"}]
      responses:
        200:
          description: The order.
          content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
        "404": {description: There is none.}
    put:
      requestBody:
        description: What to change.
        content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
      responses: {"204": {$ref: "#/components/responses/Missing"}}
components:
  parameters:
    Fields: {name: fields, in: query, schema: {type: array, items: {type: string}}}
  schemas:
    Order:
      type: object
      required: [number]
      properties:
        number: {type: integer, description: "Unique."}
        customer: {$ref: "other.yaml#/Customer"}
        parts: {type: array, items: {$ref: "#/components/schemas/Order"}}
"##;

#[test]
fn an_operation_is_a_source_with_its_whole_schema() {
    let batch = ingest("shop.yaml", SHOP);
    let get = record(&batch, "GET /orders/{id}");
    assert_eq!((get.fields.title.as_str(), get.fields.collection.as_str()), ("GET /orders/{id}: One order", "Shop"));
    assert_eq!((get.kind, get.fields.tags.as_slice()), (SourceKind::ApiOperation, &["orders".to_owned()][..]));
    assert_eq!(
        get.body,
        "One order\n\nFinds an order by its number.\n\n## Parameters\n\n\
         - `id` (path, integer, required): The order's number.\n- `fields` (query, array of string)\n\n\
         ## Responses\n\n- 200: The order.\n- 404: There is none.\n\nFields of 200:\n\n- `number` (integer, required): Unique.\n\
         - `customer`\n- `parts` (array)"
    );
    let metadata = json!({"operation_id": "getOrder", "method": "GET", "path": "/orders/{id}", "api": "Shop", "version": "2.1",
                          "deprecated": true});
    assert_eq!(Value::Object(get.fields.metadata), metadata);
    let details = get.details.unwrap();
    assert_eq!(details["parameters"].as_array().unwrap().len(), 2);
    // A host must not make a link of a `javascript:` URL.
    assert_eq!(details["servers"], json!([{"url": "https://shop.example"}, {"url": "{scheme}://shop.example"}]));
    assert_eq!(details["security"][0]["key"], json!([]));
    let schema = &details["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(
        schema["properties"]["parts"]["items"],
        json!({"$ref": "#/components/schemas/Order", "note": "recursive"})
    );
    assert!(
        record(&batch, "PUT /orders/{id}").body.contains("What to change.\n\n- `number` (integer, required): Unique.")
    );
}

#[test]
fn references_that_lead_nowhere_or_out_of_the_file_are_named_and_kept() {
    let batch = ingest("shop2.yaml", SHOP);
    let said: Vec<_> = batch.problems.iter().map(|(_, problem)| format!("{problem:?}")).collect();
    assert!(said.iter().all(|problem| problem.starts_with("Noted")), "{said:?}");
    assert!(said[0].contains("#/components/responses/Missing"), "{said:?}");
    assert!(said[1].contains("other.yaml#/Customer"), "{said:?}");
    let put = record(&batch, "PUT /orders/{id}").details.unwrap();
    assert_eq!(put["responses"]["204"]["$ref"], "#/components/responses/Missing");
}

#[test]
fn swagger_2_is_read_like_openapi_3() {
    let text = json!({"swagger": "2.0", "info": {"title": "Old"}, "host": "old.example", "basePath": "/v1", "schemes": ["https"],
        "paths": {"/a": {"post": {"consumes": ["application/json"], "parameters": [
            {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/A"}},
            {"name": "q", "in": "query", "type": "string", "required": true}],
            "responses": {"200": {"description": "ok", "schema": {"$ref": "#/definitions/A"}}}}}},
        "definitions": {"A": {"type": "object", "properties": {"x": {"type": "string"}}}}});
    let post = record(&ingest("old.json", &text.to_string()), "POST /a");
    assert!(post.body.contains("- `q` (query, string, required)"), "{}", post.body);
    assert!(post.body.contains("## Request body\n\n- `x` (string)"), "{}", post.body);
    let details = post.details.unwrap();
    assert_eq!((&details["host"], &details["basePath"]), (&json!("old.example"), &json!("/v1")));
    assert_eq!(details["parameters"][0]["schema"]["properties"]["x"]["type"], "string");
}

#[test]
fn a_property_may_have_a_keywords_name() {
    let text = json!({"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"x": {"schema": {
        "properties": {"$ref": {"type": "string"}, "default": {"$ref": "#/components/schemas/B"}},
        "default": {"$ref": "#/no"}}}}}}}}}, "components": {"schemas": {"B": {"type": "integer"}}}});
    let batch = ingest("names.json", &text.to_string());
    let details = record(&batch, "GET /a").details.unwrap();
    let schema = &details["responses"]["200"]["content"]["x"]["schema"];
    assert_eq!(schema["properties"]["default"]["type"], "integer");
    assert_eq!(schema["default"]["$ref"], "#/no");
    assert!(batch.problems.is_empty(), "{:?}", batch.problems);
}

/// Makes schemas that each name the next one twice: expanded, the first holds 2^n copies of the
/// last.
fn bomb(schemas: usize, operations: usize) -> String {
    let schema = |n: usize| {
        let next = json!({"$ref": format!("#/components/schemas/S{}", n + 1)});
        (format!("S{n}"), json!({"type": "object", "properties": {"a": next, "b": next}}))
    };
    let schemas: Map<String, Value> = (0..schemas).map(schema).collect();
    let operation =
        json!({"get": {"responses": {"200": {"content": {"x": {"schema": {"$ref": "#/components/schemas/S0"}}}}}}});
    let paths: Map<String, Value> = (0..operations).map(|n| (format!("/{n}"), operation.clone())).collect();
    json!({"openapi": "3.0.0", "paths": paths, "components": {"schemas": schemas}}).to_string()
}

#[test]
fn a_bomb_of_references_is_bounded_and_said() {
    // The full expansion of 60 schemas would never end.
    let batch = ingest("bomb.json", &bomb(60, 30));
    assert_eq!(batch.records.len(), 30);
    for (_, record) in &batch.records {
        let bytes = serde_json::to_string(record.details.as_ref().unwrap()).unwrap().len();
        assert!(bytes < MAX_DETAILS_BYTES && bytes > 500, "{bytes}");
    }
    assert!(format!("{:?}", batch.problems).contains("too large to be kept whole"), "{:?}", batch.problems);
}

#[test]
fn a_long_chain_of_references_does_not_take_the_stack() {
    let schemas: Map<String, Value> = (0..20_000)
        .map(|n| (format!("S{n}"), json!({"$ref": format!("#/components/schemas/S{}", n + 1)})))
        .chain(
            (0..20_000)
                .map(|n| (format!("T{n}"), json!({"items": {"$ref": format!("#/components/schemas/T{}", n + 1)}}))),
        )
        .collect();
    let operation =
        |first: &str| json!({"get": {"responses": {"200": {"$ref": format!("#/components/schemas/{first}")}}}});
    let text = json!({"openapi": "3.0.0", "paths": {"/s": operation("S0"), "/t": operation("T0")},
                      "components": {"schemas": schemas}});
    assert_eq!(ingest("chain.json", &text.to_string()).records.len(), 2);
}

#[test]
fn a_file_without_operations_is_refused() {
    assert!(matches!(&ingest("none.yaml", "openapi: 3.0.0\npaths: {}\n").problems[0].1, Problem::Broken(_)));
}

// Each operation of a path repeats the parameters of the path and the fields at the top of the
// file, which a million operations would multiply.
#[test]
fn what_all_operations_share_is_written_out_so_often_and_no_more() {
    let shared: Vec<Value> = (0..100).map(|n| json!({"name": format!("p{n}"), "in": "query"})).collect();
    let beside = json!({"parameters": shared});
    let root = json!({"openapi": "3.2.0", "paths": {"/a": beside}});
    let documents = Documents::of("a.json".as_ref(), root);
    let root = documents.description().value;
    let mut resolver = Resolver::within(&documents, 10_000);
    let object = Map::new();
    let beside = beside.as_object().unwrap();
    let mut kept = |name: &str| {
        let operation = Operation {
            method: name.to_owned(),
            path: "/a".to_owned(),
            section: Section::Path,
            object: &object,
            beside,
            document: 0,
            root,
        };
        details::of(&operation, &mut resolver).0.get("parameters").map_or(0, |all| all.as_array().unwrap().len())
    };
    let counts: Vec<usize> = (0..1_000).map(|n| kept(&n.to_string())).collect();
    assert_eq!((counts[0], counts[999]), (100, 0));
    assert!(counts.iter().sum::<usize>() <= 20_000 / 20 + 100, "{}", counts.iter().sum::<usize>());
}

#[test]
fn of_parameters_with_one_name_the_operations_holds() {
    let parameter = |name: &str, text: &str| json!({"name": name, "in": "query", "description": text});
    let text = json!({"openapi": "3.0.0", "paths": {"/a": {
        "parameters": [parameter("a", "path"), parameter("b", "path"), {"in": "query"}, {"in": "query"}],
        "get": {"parameters": [parameter("b", "own"), parameter("c", "own")], "responses": {}}}}});
    let records = ingest("names.json", &text.to_string()).records;
    let parameters = records[0].1.details.as_ref().unwrap()["parameters"].as_array().unwrap().clone();
    assert_eq!((parameters.len(), &parameters[1]["description"]), (5, &json!("own")));
}

/// Ingests a folder's `api.yaml` as a file of the folder.
fn ingest_within(name: &str, files: &[(&str, &str)]) -> Batch {
    let folder = std::env::temp_dir().join(format!("pgrecall-openapi-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    for (path, text) in files {
        let path = folder.join("root").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let root = std::sync::Arc::new(crate::root::Root::open(&folder.join("root")).unwrap());
    let mut origin = Origin::named(folder.join("root/api.yaml"), 0);
    origin.location = crate::root::Location::Within(root, "api.yaml".into());
    let batch = gather(|out| read_origin(&origin, &Options::default(), out));
    std::fs::remove_dir_all(folder).unwrap();
    batch
}

fn said(batch: &Batch) -> String {
    format!("{:?}", batch.problems)
}

const BOTH: &str = "openapi: 3.1.0
info: {title: Both, version: 1.0}
paths:
  /c: {get: {summary: plain c, tags: [2024], responses: {'200': {description: ok}}}}
  /ext: {$ref: './paths/a.yaml'}
  /b: {$ref: 'paths/a.yaml#/b'}
webhooks:
  newPet: {post: {summary: A pet was born, responses: {'200': {description: ok}}}}
";
const A: &str = "get: {summary: Zebra counter, responses: {'200': {$ref: '../schemas.json#/Zebra'}}}
b: {get: {summary: ibex, responses: {'200': {$ref: '#/own'}}}}
own: {description: of this file}
";

#[test]
fn a_description_in_several_files_is_read_as_one() {
    let schemas = r##"{"Zebra": {"description": "stripes", "x": {"$ref": "api.yaml#/info"}}}"##;
    let batch = ingest_within("split", &[("api.yaml", BOTH), ("paths/a.yaml", A), ("schemas.json", schemas)]);
    assert_eq!(batch.records.len(), 4, "{}", said(&batch));
    let zebra = record(&batch, "GET /ext");
    assert_eq!(zebra.fields.title, "GET /ext: Zebra counter");
    let answer = &zebra.details.unwrap()["responses"]["200"];
    assert_eq!((&answer["description"], &answer["x"]["title"]), (&json!("stripes"), &json!("Both")));
    assert_eq!(record(&batch, "GET /b").details.unwrap()["responses"]["200"]["description"], "of this file");
    let webhook = record(&batch, "POST newPet (webhook)");
    assert_eq!((&webhook.fields.metadata["webhook"], webhook.fields.metadata.get("path")), (&json!("newPet"), None));
    let plain = record(&batch, "GET /c");
    assert_eq!(
        (&plain.fields.metadata["version"], plain.fields.tags.as_slice()),
        (&json!("1.0"), &["2024".to_owned()][..])
    );
    assert!(said(&batch).contains("`b /ext`"), "{}", said(&batch));
}

#[test]
fn what_is_left_out_is_named() {
    let named = ingest("both.yaml", BOTH);
    assert_eq!(named.records.len(), 2);
    let notes = said(&named);
    assert!(notes.contains("`./paths/a.yaml`") && notes.contains("ingest the folder"), "{notes}");
    assert!(notes.contains("2 parts are no operations and were left out: `/ext`, `/b`"), "{notes}");
    let odd = "openapi: 3.1.0\npaths: {/a: {GET: {summary: x}, put: 5, foo: {}, x-y: {}}, /b: 7, /c: {$ref: '#/no'}, x-z: 1}\n";
    let batch = ingest("odd.yaml", odd);
    assert_eq!(batch.records.len(), 1);
    let notes = said(&batch);
    assert!(notes.contains("4 parts are no operations and were left out: `put /a`, `foo /a`, `/b`, `/c`"), "{notes}");
    assert!(notes.contains("nothing is found under `#/no`"), "{notes}");
}

#[test]
fn no_file_outside_of_the_folder_is_read() {
    let text = |reference: &str| format!("openapi: 3.1.0\npaths: {{/a: {{get: {{x: {{$ref: '{reference}'}}}}}}}}\n");
    let secret = "secret: stolen\n";
    for reference in [
        "../secret.yaml",
        "/etc/passwd.yaml",
        ".hidden/s.yaml",
        "s.txt",
        "https://a.b/c.yaml",
        "sub/../../secret.yaml",
        "absent.yaml",
        "broken.json",
    ] {
        let files = [
            ("api.yaml", &*text(reference)),
            ("../secret.yaml", secret),
            (".hidden/s.yaml", secret),
            ("s.txt", secret),
            ("sub/x", ""),
            ("broken.json", "{"),
        ];
        let batch = ingest_within("outside", &files);
        let details = serde_json::to_string(&batch.records[0].1.details).unwrap();
        assert!(!details.contains("stolen"), "{details}");
        assert!(said(&batch).contains(reference), "{reference}: {}", said(&batch));
    }
}

#[test]
fn files_that_refer_to_each_other_without_end_are_read_once() {
    let a = "openapi: 3.1.0\npaths: {/a: {get: {x: {$ref: 'b.yaml'}}}}\n";
    let b = "{y: {$ref: 'api.yaml'}, z: {$ref: 'b.yaml'}}";
    assert_eq!(ingest_within("circle", &[("api.yaml", a), ("b.yaml", b)]).records.len(), 1);
    let many = (0..2_000).map(|n| format!("{{$ref: 'n{n}.yaml'}}")).collect::<Vec<_>>().join(", ");
    let many = format!("openapi: 3.1.0\npaths: {{/a: {{get: {{x: [{many}]}}}}}}\n");
    let batch = ingest_within("many", &[("api.yaml", &many)]);
    assert!(said(&batch).contains("and 492 more"), "{}", said(&batch));
}

#[test]
fn callbacks_are_read_like_webhooks() {
    let text = r##"
openapi: 3.0.0
servers: [{url: "https://shop.example"}]
paths:
  /sub:
    post:
      summary: Subscribe
      callbacks:
        onData:
          "{$request.query.url}/data": {post: {summary: Tapir seen, responses: {}}}
          "{$request.query.url}/end": {post: {summary: Tapir gone}}
        shared: {$ref: "#/components/callbacks/Shared"}
        odd: 7
        x-note: {}
        away: {$ref: "callbacks.yaml"}
  /again: {put: {callbacks: {shared: {$ref: "#/components/callbacks/Shared"}}}}
components: {callbacks: {Shared: {"{$url}": {delete: {callbacks: {shared: {$ref: "#/components/callbacks/Shared"}}}}}}}
"##;
    let batch = ingest("callbacks.yaml", text);
    assert_eq!(batch.records.len(), 6, "{}", said(&batch));
    let seen = record(&batch, "POST onData {$request.query.url}/data (callback of POST /sub)");
    assert!(seen.fields.title.ends_with(": Tapir seen") && seen.body.contains("Tapir seen"), "{}", seen.fields.title);
    assert_eq!(seen.fields.metadata["callback"], "onData {$request.query.url}/data");
    assert_eq!(seen.details.unwrap().get("servers"), None, "it is called on the client's server");
    for of in ["POST /sub", "PUT /again"] {
        record(&batch, &format!("DELETE shared {{$url}} (callback of {of})"));
    }
    let notes = said(&batch);
    for part in
        ["`odd (callback of POST /sub)`", "`away (callback of POST /sub)`", "`callbacks of delete shared {$url}`"]
    {
        assert!(notes.contains(part), "{part}: {notes}");
    }
}

#[test]
fn callbacks_that_operations_share_are_read_so_often_and_no_more() {
    let addresses: Map<String, Value> = (0..200).map(|n| (format!("/c{n}"), json!({"post": {}}))).collect();
    let paths: Map<String, Value> =
        (0..200).map(|n| (format!("/{n}"), json!({"get": {"callbacks": {"a": {"$ref": "#/c"}}}}))).collect();
    let batch = ingest("shared.json", &json!({"openapi": "3.0.0", "paths": paths, "c": addresses}).to_string());
    assert_eq!(batch.records.len(), 200 + 10_000);
    assert!(said(&batch).contains("(callback of GET /"), "{}", said(&batch));
}

#[test]
fn what_a_second_document_or_a_repeated_path_loses_is_noted() {
    let one = |path: &str| format!("openapi: 3.0.0\npaths: {{{path}: {{get: {{}}}}}}\n");
    let twice = "openapi: 3.0.0\npaths:\n  /d: {get: {summary: first}}\n  /d: {get: {summary: second}}\n";
    let json = r#"{"openapi": "3.0.0", "paths": {"/d": {"get": {"summary": "1"}}, "/d": {"get": {"summary": "2"}}}}"#;
    for (name, text, note) in [
        ("two.yaml", format!("{}---\n{}", one("/a"), one("/b")), "a second document begins at line 3"),
        ("twice.yaml", twice.to_owned(), "`/d` is given twice"),
        ("twice.json", json.to_owned(), "`/d` is given twice"),
    ] {
        let batch = ingest(name, &text);
        assert_eq!((batch.records.len(), batch.problems.len()), (1, 1), "{}", said(&batch));
        assert!(said(&batch).contains(note), "{}", said(&batch));
    }
}
