//! Unit tests of the words module.
use proptest::prelude::*;

use super::*;

fn terms(text: &str) -> Vec<String> {
    index_terms(text).counts.into_iter().map(|(term, _)| term).collect()
}

fn asked(query: &str) -> Vec<String> {
    query_terms(query).into_iter().map(|(term, _)| term).collect()
}

fn finds(query: &str, text: &str) -> bool {
    let held = terms(text);
    asked(query).iter().any(|term| held.contains(term))
}

fn all_found(query: &str, text: &str) -> bool {
    let (held, asked) = (terms(text), asked(query));
    !asked.is_empty() && asked.iter().all(|term| held.contains(term))
}

const URN: &str = "urn:li:dataset:(urn:li:dataPlatform:hive,sales.orders_v2,PROD)";

#[test]
fn an_identifier_inside_a_urn_is_found_whole_and_in_parts() {
    for query in ["orders_v2", "orders", "order", "sales.orders_v2", "sales", "hive", "ORDERS_V2", "dataPlatform", URN]
    {
        assert!(all_found(query, URN), "{query}");
    }
    assert!(!finds("customers_v3", URN));
}

#[test]
fn identifiers_of_every_style_are_found_by_their_parts() {
    for (query, text) in [
        ("cust_id", "join on cust_id"),
        ("cust", "join on cust_id"),
        ("kebab-case", "the kebab-case name"),
        ("kebab", "the kebab-case name"),
        ("pkg.mod.func", "call pkg.mod.func()"),
        ("mod", "call pkg.mod.func()"),
        ("camelcase", "a camelCase name"),
        ("camel", "a camelCase name"),
        ("server", "class HTTPServer"),
        ("http", "class HTTPServer"),
        ("/api/v2/orders/{id}", "GET /api/v2/orders/{id}"),
        ("orders", "GET /api/v2/orders/{id}"),
        ("ann@example.com", "write to ann@example.com."),
        ("example.com", "write to ann@example.com."),
        ("url", "the URLs of it"),
        ("my_var", "__my_var__"),
        ("USA", "in the U.S.A. today"),
        ("high speed", "a high-speed wing"),
        ("covid-19", "COVID-19 cases"),
    ] {
        assert!(all_found(query, text), "{query} in {text}");
    }
}

#[test]
fn a_whole_identifier_ranks_above_its_scattered_parts() {
    let asked = asked("orders_v2");
    let matched = |text: &str| asked.iter().filter(|term| terms(text).contains(term)).count();
    assert!(matched("table orders_v2") > matched("orders of v2"));
}

#[test]
fn versions_and_numbers_are_one_term() {
    assert_eq!(asked("1.4.2"), ["1.4.2"]);
    assert!(all_found("1.4.2", "released v1.4.2 today"));
    assert!(all_found("50000", "50,000 rows"));
    assert!(all_found("2023-05-08", "on 2023-05-08"));
    assert!(all_found("2023", "on 2023-05-08"));
    assert!(!finds("4", "1.4.2"));
    assert!(all_found("v2", "v2"));
}

#[test]
fn a_natural_question_loses_its_stop_words_only() {
    assert_eq!(asked("How do we calculate net revenue for a quarter?"), ["calcul", "net", "revenu", "quarter"]);
    assert!(asked("what is it?").is_empty());
}

#[test]
fn word_forms_and_spellings_meet() {
    for (query, text) in [
        ("painting", "she paints"),
        ("Caroline", "Caroline\u{2019}s dog"),
        ("cafe", "a café"),
        ("café", "a cafe\u{301}"),
        ("ABC", "ＡＢＣ"),
        ("naive", "naïve"),
        ("МОСКВА", "Москва"),
    ] {
        assert!(all_found(query, text), "{query} in {text}");
    }
}

#[test]
fn arabic_and_hebrew_are_found_without_their_marks() {
    for (query, text) in [
        ("محمد", "مُحَمَّد"),
        ("مُحَمَّد", "محمد"),
        ("كتاب", "كتـــاب"),
        ("احمد", "أحمد"),
        ("اسلام", "إسلام"),
        ("القران", "القرآن"),
        ("الرحمن", "ٱلرَّحْمَٰنِ"),
        ("مسوول", "مسؤول"),
        ("شاطي", "شاطئ"),
        ("على", "علي"),
        ("مدرسة", "مدرسه"),
        ("کتاب", "كتاب"),
        ("ایران", "ايران"),
        ("می\u{200C}خواهم", "میخواهم"),
        ("2023", "سنة ٢٠٢٣"),
        ("۱۴۰۲", "1402"),
        ("ﻣﺤﻤﺪ", "محمد"),
        ("שלום", "שָׁלוֹם"),
        ("בראשית", "בְּרֵאשִׁ֖ית"),
        ("צה״ל", "צה\"ל"),
        ("בית-ספר", "בית־ספר"),
        ("שלום", "\u{200F}שלום\u{200E}"),
    ] {
        assert!(all_found(query, text), "{query} in {text}: {:?} in {:?}", asked(query), terms(text));
    }
    for (query, text) in [
        ("كتب", "كتاب"),
        ("بيت", "تيب"),
        ("סוס", "סוף"),
        ("ספר", "שפר"),
        // These marks are vowels, and a letter with a dot is another letter.
        ("कि", "का"),
        ("กู", "กี"),
        ("باب", "بات"),
    ] {
        assert!(!finds(query, text), "{query} in {text}");
    }
}

proptest! {
    #[test]
    fn marks_anywhere_in_a_word_change_no_term(
        letters in "[ابتثجحخدذرزسشصضطظعغفقكلمنهوي]{2,12}|[אבגדהוזחטיכלמנסעפצקרשת]{2,12}",
        marks in prop::collection::vec((any::<prop::sample::Index>(), "[\u{064B}-\u{0652}\u{0640}\u{0670}\u{05B0}-\u{05BC}\u{05C1}\u{200F}]"), 0..12),
    ) {
        let mut marked: Vec<String> = letters.chars().map(String::from).collect();
        for (at, mark) in &marks {
            at.get_mut(&mut marked).push_str(mark);
        }
        let marked = marked.concat();
        prop_assert_eq!(terms(&marked), terms(&letters));
        prop_assert_eq!(asked(&marked), asked(&letters));
    }
}

#[test]
fn scripts_without_spaces_are_found_by_pairs_and_single_characters() {
    assert!(all_found("数据库", "关系数据库系统"));
    assert!(all_found("データ", "このデータベースは速い"));
    assert!(all_found("猫", "黒猫がいる"));
    assert!(all_found("데이터", "데이터베이스를"));
    assert!(all_found("ฐานข้อมูล", "ระบบฐานข้อมูลใหม่"));
    assert!(!finds("汽车", "关系数据库系统"));
    assert_eq!(index_terms("数据库").length, 2);
}

#[test]
fn the_whole_of_an_identifier_does_not_make_a_text_longer() {
    assert_eq!(index_terms("sales orders v2").length, index_terms("sales.orders_v2").length);
    assert_eq!(index_terms("camelCase").length, 1);
}

#[test]
fn text_without_words_has_no_terms() {
    for text in ["", "   \n", "?!… — …", "the of and", "___", "\u{0}"] {
        assert_eq!(index_terms(text), Words::default(), "{text:?}");
        assert!(asked(text).is_empty());
    }
}

#[test]
fn a_long_token_is_bounded_and_still_tells_two_apart() {
    let (one, two) = (format!("{}a", "x".repeat(500)), format!("{}b", "x".repeat(500)));
    assert!(all_found(&one, &format!("see {one} there")));
    assert!(!finds(&one, &two));
    assert!(terms(&one).iter().all(|term| term.len() <= 64));
    assert!(terms(&"é漢".repeat(300)).iter().all(|term| term.len() <= 64));
}

#[test]
fn a_query_is_bounded_and_names_each_term_once() {
    let long: String = (0..1000).map(|n| format!("word{n} ")).collect();
    assert_eq!(asked(&long).len(), MAX_QUERY_TERMS);
    assert_eq!(asked("data Data DATA datum"), ["data", "datum"]);
}
