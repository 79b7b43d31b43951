//! The built-in prompts, which make a model use its memory well.

use pgrecall_record::visible;
use rmcp::model::{Prompt, PromptArgument};

/// The value of an argument, if the caller gave one that is not blank.
pub(super) type Given<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// A built-in prompt.
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// Its arguments, each with a description and whether it is required.
    pub(super) arguments: &'static [(&'static str, &'static str, bool)],
    pub(super) text: fn(Given<'_>) -> String,
}

pub(super) const OWN: [Own; 3] = [
    Own {
        name: "recall_before_you_answer",
        title: "Recall before you answer",
        description: "Answers a question from what is remembered, and says what is not.",
        arguments: &[("question", "What to answer", true), ("tag", "Only memories with this tag", false)],
        text: |given| {
            format!(
                "Before you answer, call memory_recall with the question in plain words{}. If an answer is degraded, ask once more \
                 in the words that the text itself would use. Answer from what you find, say since when it is true where that \
                 matters, and say plainly what you do not find.\n\nQuestion: {}",
                phrase(" and tags [\"", given("tag"), "\"]"),
                given("question").unwrap_or_default()
            )
        },
    },
    Own {
        name: "save_what_you_learned",
        title: "Save what you learned",
        description: "Goes through the conversation and remembers what will matter again.",
        arguments: &[("tag", "A tag for all of it", false)],
        text: |given| {
            format!(
                "Go through this conversation. For each fact, decision, preference or date that will matter again, call \
                 memory_remember: one self-contained fact a call, names and dates written out{}. Where its answer names a memory \
                 that is no longer true, remember the new one again with that id in supersedes. Keep nothing secret and nothing \
                 that only matters now. Then say in a list what you saved.",
                phrase(", with tags [\"", given("tag"), "\"]")
            )
        },
    },
    Own {
        name: "answer_with_citations",
        title: "Answer with citations",
        description: "Answers from the documents, and names the source of each statement.",
        arguments: &[
            ("question", "What to answer", true),
            ("collection", "Only this collection", false),
            ("kind", "Only this kind: document, asset, prompt, tool or api_operation", false),
        ],
        text: |given| {
            format!(
                "Call search with the question{}{}, then fetch what you will cite. Answer from these texts only. After each \
                 statement put its source as [title](url); where they disagree, say so; what they do not hold, say that they do \
                 not.\n\nQuestion: {}",
                phrase(", collection \"", given("collection"), "\""),
                phrase(", kinds [\"", given("kind"), "\"]"),
                given("question").unwrap_or_default()
            )
        },
    },
];

/// A phrase around an argument's value, or nothing without a value.
fn phrase(before: &str, value: Option<&str>, after: &str) -> String {
    value.map_or_else(String::new, |value| format!("{before}{value}{after}"))
}

impl Own {
    pub(super) fn prompt(&self) -> Prompt {
        let arguments = self.arguments.iter().map(|(name, description, needed)| {
            PromptArgument::new(*name).with_description(*description).with_required(*needed)
        });
        Prompt::new(self.name, Some(self.description), Some(arguments.collect())).with_title(self.title)
    }
}

/// Whether a reader could take a title for that of a built-in prompt.
pub(crate) fn is_like_ours(title: &str) -> bool {
    OWN.iter().any(|own| visible::look_alike(title, own.title) || visible::look_alike(title, own.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_need_an_argument_come_with_it() {
        let text = |tag| (OWN[0].text)(&|name: &str| if name == "tag" { tag } else { Some("why?") });
        assert!(text(None).contains("plain words. If") && text(None).ends_with("Question: why?"));
        assert!(text(Some("q3")).contains("plain words and tags [\"q3\"]. If"));
    }
}
