//! Task prefixes and context windows of known model families, found by the model's name.
//!
//! A model that needs a prefix and gets none still returns vectors, only worse ones, and no error
//! shows it. So the table is built in, and the configuration overrides it. The values come from the
//! models' own cards.

/// The properties shared by a family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The text put before a query.
    pub query_prefix: &'static str,
    /// The text put before a passage.
    pub document_prefix: &'static str,
    /// The context window in tokens.
    pub window: usize,
}

/// The defaults for an unknown model: no prefix, and a window that nearly every embedding model
/// has.
const UNKNOWN: Family = Family { query_prefix: "", document_prefix: "", window: 512 };

const SENTENCE: &str = "Represent this sentence for searching relevant passages: ";
const WEB_SEARCH: &str =
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ";
/// As [`WEB_SEARCH`], without a space after the colon, as Qwen's card has it.
const WEB_SEARCH_TIGHT: &str =
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:";

/// Families by the words that must all occur in the model's name. The first matching row applies,
/// so special cases come first.
#[rustfmt::skip]
const FAMILIES: &[(&[&str], Family)] = &[
    (&["nomic-embed-text"],            Family { query_prefix: "search_query: ", document_prefix: "search_document: ", window: 2048 }),
    (&["e5-", "instruct"],             Family { query_prefix: WEB_SEARCH, document_prefix: "", window: 512 }),
    (&["e5-"],                         Family { query_prefix: "query: ", document_prefix: "passage: ", window: 512 }),
    (&["bge-m3"],                      Family { query_prefix: "", document_prefix: "", window: 8192 }),
    (&["bge-", "-zh"],                 Family { query_prefix: "为这个句子生成表示以用于检索相关文章：", document_prefix: "", window: 512 }),
    (&["bge-", "-en"],                 Family { query_prefix: SENTENCE, document_prefix: "", window: 512 }),
    // Ollama's short name for bge-large-en-v1.5.
    (&["bge-large"],                   Family { query_prefix: SENTENCE, document_prefix: "", window: 512 }),
    (&["mxbai-embed-large"],           Family { query_prefix: SENTENCE, document_prefix: "", window: 512 }),
    // The second generation needs other prefixes than the first. The vendor and Ollama spell its
    // name in different ways.
    (&["snowflake-arctic-embed2"],     Family { query_prefix: "query: ", document_prefix: "", window: 8192 }),
    (&["arctic-embed", "-v2"],         Family { query_prefix: "query: ", document_prefix: "", window: 8192 }),
    (&["arctic-embed"],                Family { query_prefix: SENTENCE, document_prefix: "", window: 512 }),
    (&["embeddinggemma"],              Family { query_prefix: "task: search result | query: ", document_prefix: "title: none | text: ", window: 2048 }),
    (&["qwen3-embedding"],             Family { query_prefix: WEB_SEARCH_TIGHT, document_prefix: "", window: 8192 }),
    (&["minilm"],                      Family { query_prefix: "", document_prefix: "", window: 256 }),
    (&["text-embedding-3"],            Family { query_prefix: "", document_prefix: "", window: 8191 }),
    (&["text-embedding-ada"],          Family { query_prefix: "", document_prefix: "", window: 8191 }),
];

/// Returns the family of a model, whatever prefix (`BAAI/`, `intfloat/multilingual-`) or suffix
/// (`:latest`) its name has.
pub fn of(model: &str) -> Family {
    let name = model.to_ascii_lowercase().replace('_', "-");
    FAMILIES
        .iter()
        .find(|(words, _)| words.iter().all(|word| name.contains(word)))
        .map_or(UNKNOWN, |(_, family)| *family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_get_the_prefixes_of_their_cards() {
        for (model, query, document) in [
            ("nomic-embed-text", "search_query: ", "search_document: "),
            ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
            ("nomic-embed-text-v2-moe:latest", "search_query: ", "search_document: "),
            ("intfloat/multilingual-e5-large", "query: ", "passage: "),
            ("intfloat/e5-base-v2", "query: ", "passage: "),
            ("intfloat/multilingual-e5-large-instruct", WEB_SEARCH, ""),
            ("intfloat/e5-mistral-7b-instruct", WEB_SEARCH, ""),
            ("BAAI/bge-small-en-v1.5", SENTENCE, ""),
            ("bge-large", SENTENCE, ""),
            ("BAAI/bge-m3", "", ""),
            ("mxbai-embed-large:335m", SENTENCE, ""),
            ("snowflake-arctic-embed:22m", SENTENCE, ""),
            ("snowflake-arctic-embed2", "query: ", ""),
            ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
            ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
            ("Qwen/Qwen3-Embedding-0.6B", WEB_SEARCH_TIGHT, ""),
            ("all-minilm", "", ""),
            ("all-MiniLM-L6-v2", "", ""),
            ("text-embedding-3-small", "", ""),
            ("somebody/unheard-of", "", ""),
        ] {
            let family = of(model);
            assert_eq!((family.query_prefix, family.document_prefix), (query, document), "{model}");
        }
    }

    #[test]
    fn chinese_models_are_asked_in_chinese() {
        assert!(of("BAAI/bge-large-zh-v1.5").query_prefix.starts_with('为'));
    }

    #[test]
    fn unknown_model_gets_a_window_that_fits_nearly_all() {
        assert_eq!(of("somebody/unheard-of").window, 512);
        assert_eq!(of("nomic-embed-text").window, 2048);
        assert_eq!(of("all-minilm").window, 256);
    }
}
