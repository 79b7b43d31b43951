//! Tests of what is front matter and what is body.

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;

/// Returns the fields, and the text after them.
fn parts(text: &str) -> (Value, &str) {
    let (front, body) = split(text);
    (front.map_or(Value::Null, |front| Value::Object(front.0)), body)
}

#[test]
fn only_a_mapping_is_front_matter() {
    for text in [
        "---\n\nThe emergency shutdown valve is painted turquoise.\n\n---\n\n# Pump room\n",
        "---\n| a | b |\n|---|---|\n| osprey | 2 |\n---\nafter",
        "---\n- a\n- b\n---\n",
        "---\n# Heading\n---\ntext",
        "---\n{a: b}\ntext\n---\n",
        "---\nNote: this is: bad\n---\n",
        "---\ntitle: a\nA sentence: with more: of them.\n---\n",
        "---\na: b\n",
        "----\na: b\n----\n",
        "    ---\na: b\n---\n",
        "text\n---\na: b\n---\n",
        "+++\ntext\n+++\n",
        "---",
        "",
    ] {
        assert_eq!(parts(text), (Value::Null, text), "{text:?}");
    }
}

#[test]
fn prose_that_looks_like_fields_stays_in_the_text() {
    for block in [
        "\nWarning: never open valve seven.\n\nDanger: hot.\n\n",
        "\nAlice: hello there\nBob: I parked the van\n\n",
        "Warning: never open valve seven.\n",
        "Q: Is it hot?\n",
    ] {
        let text = format!("---\n{block}---\n\nend\n");
        assert_eq!(parts(&text), (Value::Null, text.as_str()), "{block:?}");
    }
    for block in [
        "\ntitle: A day in the life.\n\n",
        "\nStatus: in progress\n\n",
        "mood: quite good\n",
        "\nmood: good\n\n",
        "\nmood: quite good\nweight: 3\n\n",
        "\nmood: quite good\nsee: [x]\n\n",
    ] {
        let text = format!("---\n{block}---\nend\n");
        assert!(parts(&text).0.is_object() && parts(&text).1 == "end\n", "{block:?}");
    }
}

#[test]
fn front_matter_is_found_however_its_lines_are_written() {
    for text in [
        "---\na: b\n---\ntext\n",
        "--- \na: b\n---\t\ntext\n",
        "\u{feff}---\na: b\n...\ntext\n",
        "\u{feff}\n \n---\na: b\n---\ntext\n",
        "\n\n---\n\na: b\n\n---\ntext\n",
        "---\r\na: b\r\n---\r\ntext\n",
        "+++\na = \"b\"\n+++\ntext\n",
    ] {
        assert_eq!(parts(text), (json!({"a": "b"}), "text\n"), "{text:?}");
    }
    assert_eq!(parts("---\n---\ntext"), (json!({}), "text"));
    assert_eq!(parts("---\n\n---\n"), (json!({}), ""));
}

#[test]
fn a_title_is_what_yaml_reads_or_what_the_line_says() {
    for (line, title) in [
        ("title: >-\n  Quarterly capacity plan\n  for the harbour", "Quarterly capacity plan for the harbour"),
        ("title: Roadmap 2027 # draft, do not share", "Roadmap 2027"),
        (r#"title: "Say \"hi\" to \u00dcmit""#, "Say \"hi\" to Ümit"),
        ("title: 'It''s'", "It's"),
        ("title: one\n  two", "one two"),
        ("title: Foo: the bar", "Foo: the bar"),
        ("title: @home", "@home"),
        ("title: *bold* move", "*bold* move"),
        ("title: [Draft] Plan", "[Draft] Plan"),
        ("title: \"unclosed", "\"unclosed"),
        ("title: 'It's fine'", "It's fine"),
    ] {
        let text = format!("---\nid: 7\n{line}\ntags:\n- a\n---\nbody");
        let (fields, body) = parts(&text);
        assert_eq!(fields, json!({"id": 7, "title": title, "tags": ["a"]}), "{line}");
        assert_eq!(body, "body");
    }
}

#[test]
fn a_name_with_a_blank_does_not_cost_the_other_fields() {
    let fields = json!({"my key": "x", "title": "Foo: x", "Last edited": "2026-03-01"});
    let text = "---\nmy key: x\ntitle: Foo: x\nLast edited: 2026-03-01\n---\nbody";
    assert_eq!(parts(text), (fields, "body"));
}

#[test]
fn toml_is_read_as_far_as_its_values_are_short_and_the_rest_is_body() {
    let simple = "+++\n# c\ntitle = 'A \\ b'\ndate = 2026-03-01T10:00:00Z\ntags = [\"a\", 'b'] # c\nweight = 3\ndraft = true\n+++\ntext";
    let fields =
        json!({"title": "A \\ b", "date": "2026-03-01T10:00:00Z", "tags": ["a", "b"], "weight": 3, "draft": true});
    assert_eq!(parts(simple), (fields, "text"));
    for more in
        ["[menu]\ntitle = 'x'\n", "long = \"\"\"\ntitle = 'x'\n\"\"\"\n", "a = {b = 1}\n", "b = [\n'x']\n", "a.b = 1\n"]
    {
        let text = format!("+++\ntitle = \"T\"\n{more}+++\ntext");
        assert_eq!(parts(&text), (json!({"title": "T"}), text.as_str()), "{more}");
    }
}

#[test]
fn a_bomb_and_a_long_block_are_text() {
    let mut bomb = "---\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    bomb.push_str("---\ntext");
    assert_eq!(parts(&bomb), (Value::Null, bomb.as_str()));
    let long = format!("---\na: b\n{}---\ntext", "# c\n".repeat(MAX_METADATA_BYTES));
    assert_eq!(parts(&long), (Value::Null, long.as_str()));
    let wide = format!("---\na: &a {}\nb: [{}]\n---\n", "x".repeat(9_000), ["*a"; 20].join(", "));
    assert_eq!(parts(&wide), (Value::Null, wide.as_str()));
}

#[test]
fn a_block_that_is_not_yaml_is_refused_with_its_line_where_one_is_needed() {
    assert!(refusal("---\na: [\n---\n").unwrap().contains("line"));
    for text in ["---\na: b\n---\n", "text", "---\njust a text\n---\n", "---\n\nAlice: hello there\n\n---\n"] {
        assert_eq!(refusal(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn prose_between_two_breaks_stays_whole(lines in vec("(\\| |> |- |[*] |# )?[a-zé ]{1,12}[.!]?", 1..6)) {
        prop_assume!(!lines.concat().trim().is_empty());
        let text = format!("---\n{}\n---\nafter\n", lines.join("\n"));
        prop_assert_eq!(split(&text), (None, text.as_str()));
    }

    #[test]
    fn a_quoted_text_is_read_back(title in "[ -~é日😀\n\t]{0,20}", number in any::<i64>()) {
        let text = format!("---\ntitle: {}\nnumber: {number}\n---\nbody", serde_json::to_string(&title).unwrap());
        prop_assert_eq!(parts(&text), (json!({"title": title, "number": number}), "body"));
    }
}
