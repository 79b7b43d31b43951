//! Property tests: reading ends for any file, with records or with a sentence about the problem.

use pgrecall_record::source::{MAX_DETAILS_BYTES, Record};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

use pgrecall_generators::mutate::{assert_sentence, cases, mutated};

use super::{front_matter, html, yaml};
use crate::{
    Options, Problem,
    batch::{Batch, gather},
    encoding::encodings,
    ingest::read_origin,
    origin::from_bytes,
};

/// Reads a file of this name, and returns its records and the number of problems.
fn ingest(name: &str, bytes: &[u8], named: bool) -> (Vec<Record>, usize) {
    let batch = gathered(name, bytes, named);
    let problems = batch.problems.len();
    (batch.records.into_iter().map(|(_, record)| record).collect(), problems)
}

fn gathered(name: &str, bytes: &[u8], named: bool) -> Batch {
    let mut batch = Batch::default();
    from_bytes(&format!("any-{name}"), bytes, named, |origin| {
        batch = gather(|out| read_origin(origin, &Options::default(), out));
    });
    batch
}

/// A valid file of each format.
const FILES: [&str; 9] = [
    "---\ntitle: \"A\"\nname: greet\narguments:\n  - name: who\n    required: true\ntags: [a, b]\n---\n# Heading\n\ntext [link](b) `code`\n\n```\nx\n```\n",
    "<!doctype html><meta charset=utf-8><title>T &amp; U</title><nav>no</nav><main><h1>A</h1><ul><li>b<ol><li>c</ol></ul><table><tr><td>1<td>2</table><pre>x\n y</pre></main>",
    "{\"_id\": \"1\", \"title\": \"T\", \"text\": \"body\", \"metadata\": {\"a\": [1, 2.5]}, \"tags\": [\"x\"], \"valid_from\": \"2026-01-01\"}\n{\"_id\": 2, \"text\": \"b\", \"kind\": \"memory\"}\n",
    "openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\npaths:\n  /a/{id}:\n    parameters: [{$ref: '#/components/parameters/P'}]\n    get:\n      summary: Find\n      responses: {200: {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/S'}}}}}\ncomponents:\n  parameters: {P: {name: id, in: path}}\n  schemas: {S: {type: object, properties: {a: {$ref: '#/components/schemas/S'}}}}\n",
    "{\"swagger\": \"2.0\", \"paths\": {\"/a\": {\"post\": {\"parameters\": [{\"in\": \"body\", \"name\": \"b\", \"schema\": {\"$ref\": \"#/definitions/B\"}}], \"responses\": {}}}}, \"definitions\": {\"B\": {\"allOf\": [{\"type\": \"object\"}]}}}",
    "{\"tools\": [{\"name\": \"a\", \"title\": \"A\", \"description\": \"d\", \"inputSchema\": {\"type\": \"object\", \"required\": [\"x\"], \"properties\": {\"x\": {\"type\": [\"string\", \"null\"]}}}}]}",
    "{\"prompts\": [{\"name\": \"greet\", \"arguments\": [{\"name\": \"who\"}], \"messages\": [{\"role\": \"user\", \"content\": {\"type\": \"text\", \"text\": \"Hi\"}}]}]}",
    "a: &a {x: 1, y: [true, ~, 0x1f, .5]}\nb: *a\nc: {<<: *a, z: !!str 5}\nd: |-\n  two\n  lines\n? [k]\n: 'v'\n",
    "\u{feff}plain text\r\n\tof two lines",
];

/// Texts of many scripts, mixed with fragments that are hard to parse.
fn scraps() -> impl Strategy<Value = String> {
    let scraps = [
        "<p>",
        "</p>",
        "<h2>",
        "</h2 ",
        "<li>",
        "<ul",
        "<pre>",
        "<!--",
        "-->",
        "<![CDATA[",
        "<script>",
        "</script>",
        "<title>",
        "<main>",
        "<td>",
        "&amp;",
        "&#x202e;",
        "&#0;",
        "&bogus;",
        "\"",
        "'",
        ">",
        "=",
        "---\n",
        "...\n",
        "title: x\n",
        "{",
        "}",
        "[",
        "]",
        ":",
        "\n",
        "- ",
        "*a",
        "&a ",
        "<<: ",
        "\u{feff}",
        "\u{202e}",
        "שלום",
        "مرحبا",
        "日本語",
        "👩‍👩‍👧‍👦",
        "e\u{301}",
        "{\"_id\": 1, \"text\": \"a\"}\n",
        "\"openapi\": \"3.0.0\"",
        "\"tools\": []",
        "\0",
        "\r\n",
        "# ",
        "```",
    ];
    vec(prop_oneof![3 => proptest::sample::select(scraps.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"], 0..60)
        .prop_map(|parts| parts.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[^\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("[a-z$ ]{1,8}", inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Makes a reference of any sort: to a schema, to itself, to nothing, to another file, to the whole
/// file, or an invalid pointer.
fn reference() -> impl Strategy<Value = Value> {
    let to = prop_oneof![
        8 => (0..9_usize).prop_map(|number| format!("#/components/schemas/S{number}")),
        1 => Just("#".to_owned()),
        1 => Just("#/paths".to_owned()),
        1 => Just("other.yaml#/A".to_owned()),
        1 => "[#/~%a0]{0,6}",
    ];
    to.prop_map(|to| json!({"$ref": to}))
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => reference(), 1 => value()];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(("[a-c]", inner.clone()), 0..4).prop_map(
                |properties| json!({"type": "object", "properties": properties.into_iter().collect::<Map<_, _>>()})
            ),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            vec(inner, 0..3).prop_map(|parts| json!({"allOf": parts})),
        ]
    })
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_bytes_under_any_name_are_records_or_problems(bytes in vec(any::<u8>(), 0..400), named in any::<bool>()) {
        for name in ["a.md", "a.txt", "a.html", "a.jsonl", "a.json", "a.yaml"] {
            let (records, _) = ingest(name, &bytes, named);
            prop_assert!(records.iter().all(|record| record.check().is_ok()));
        }
    }

    #[test]
    fn any_scraps_under_any_name_are_records_or_problems(text in scraps()) {
        for name in ["b.md", "b.html", "b.jsonl", "b.json", "b.yaml"] {
            let (records, problems) = ingest(name, text.as_bytes(), true);
            prop_assert!(!records.is_empty() || problems > 0 || text.trim().is_empty() || name.ends_with("jsonl"), "{name}");
            prop_assert!(records.iter().all(|record| record.check().is_ok()));
        }
    }

    #[test]
    fn any_file_that_is_nearly_right_is_records_or_sentences(file in mutated(&FILES), named in any::<bool>()) {
        for name in ["d.md", "d.html", "d.jsonl", "d.json", "d.yaml"] {
            let batch = gathered(name, &file, named);
            let made: usize = batch.records.iter().map(|(_, record)| record.fields.title.len() + record.body.len()).sum();
            prop_assert!(made <= 100 * file.len() + 1_000, "{name}: {made} bytes of {}", file.len());
            for (_, problem) in &batch.problems {
                if let Problem::Useless(said) | Problem::Broken(said) | Problem::Noted(said) = problem {
                    assert_sentence(said);
                }
            }
        }
    }

    #[test]
    fn a_file_is_the_same_in_every_encoding_with_a_mark(index in 0..FILES.len()) {
        let marked = |bytes: &[u8], name: &str| ingest(name, bytes, true);
        for name in ["e.md", "e.txt", "e.html", "e.jsonl", "e.json", "e.yaml"] {
            let [utf8, others @ ..] = encodings(FILES[index]);
            let expected = marked(&utf8, name);
            for bytes in others {
                prop_assert_eq!(&marked(&bytes, name), &expected, "{}", name);
            }
        }
    }

    #[test]
    fn a_pages_words_are_its_texts(words in vec("[a-zא-ת日-本あ-ん😀-😎]{1,8}", 1..20)) {
        let text = html::page(&format!("<nav>x</nav><p>{}</p>", words.join(" \n")));
        prop_assert_eq!(text.text, words.join(" "));
    }

    #[test]
    fn a_page_of_tags_is_never_much_longer_than_they_are(text in scraps()) {
        prop_assert!(html::page(&text).text.len() <= 40 + 20 * text.len());
    }

    #[test]
    fn json_means_the_same_as_yaml(value in value()) {
        prop_assert_eq!(yaml::read(&value.to_string()), Ok(value.clone()));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(yaml::read(&pretty), Ok(value));
    }

    #[test]
    fn front_matter_and_text_are_the_whole(text in scraps()) {
        let (front, rest) = front_matter::split(&text);
        prop_assert!(text.ends_with(rest));
        prop_assert!(front.is_some() || rest == text);
        let mut record = Record::new(pgrecall_record::source::SourceKind::Prompt, rest);
        front_matter::prompt(&mut record, front.unwrap_or_default());
    }

    #[test]
    fn any_references_come_to_details_that_can_be_kept(
        schemas in vec(schema(), 1..9),
        answers in vec(schema(), 1..4),
        parameters in vec(reference(), 0..3),
    ) {
        let schemas: Map<String, Value> =
            schemas.into_iter().enumerate().map(|(number, schema)| (format!("S{number}"), schema)).collect();
        let operations: Map<String, Value> = answers
            .into_iter()
            .enumerate()
            .map(|(number, answer)| {
                let responses = json!({"200": {"description": "ok", "content": {"application/json": {"schema": answer}}}});
                (format!("/{number}"), json!({"get": {"parameters": parameters, "responses": responses}}))
            })
            .collect();
        let count = operations.len();
        let file = json!({"openapi": "3.1.0", "paths": operations, "components": {"schemas": schemas}});
        let (records, _) = ingest("c.json", file.to_string().as_bytes(), true);
        prop_assert_eq!(records.len(), count);
        for record in records {
            let details = serde_json::to_string(&record.details).unwrap();
            prop_assert!(details.len() <= MAX_DETAILS_BYTES);
            // The stored details can be parsed again, even with the same limit on depth.
            prop_assert!(serde_json::from_str::<Value>(&details).is_ok());
        }
    }
}
