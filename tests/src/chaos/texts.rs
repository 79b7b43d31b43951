//! The texts that are written: one or several passages, of which an edit changes one paragraph.

use pgrecall_generators::rng::SeededRng;

/// The embedder always refuses a text that contains this.
pub(super) const POISON: &str = "venom7f3a";

const WORDS: [&str; 32] = [
    "ledger",
    "checkout",
    "refund",
    "invoice",
    "queue",
    "index",
    "vector",
    "tenant",
    "lease",
    "worker",
    "backlog",
    "forecast",
    "audit",
    "cache",
    "margin",
    "region",
    "supplier",
    "contract",
    "shipment",
    "returns",
    "payroll",
    "quarter",
    "revenue",
    "schema",
    "migration",
    "replica",
    "owner",
    "owns",
    "measures",
    "rebuilt",
    "retired",
    "documents",
];

/// A source's text, as a seed for each paragraph.
#[derive(Debug, Clone)]
pub(super) struct Text {
    key: String,
    paragraphs: Vec<u64>,
    long: bool,
    poisoned: bool,
}

impl Text {
    /// Creates the first text of a key.
    pub(super) fn new(key: &str, rng: &mut SeededRng) -> Self {
        let long = rng.in_a_hundred(20);
        let count = if long { 2 + rng.below(6) } else { 1 };
        let paragraphs = (0..count).map(|_| rng.next()).collect();
        Self { key: key.to_owned(), paragraphs, long, poisoned: false }
    }

    /// Changes one paragraph, adds a last one, or removes the last one.
    pub(super) fn edit(&mut self, rng: &mut SeededRng) {
        match rng.below(10) {
            0 if self.long => self.paragraphs.push(rng.next()),
            1 if self.paragraphs.len() > 1 => self.paragraphs.truncate(self.paragraphs.len() - 1),
            _ => {
                let at = rng.below(self.paragraphs.len());
                self.paragraphs[at] = rng.next();
            }
        }
    }

    /// Sets whether the embedder will refuse the text.
    pub(super) fn poison(&mut self, poisoned: bool) {
        self.poisoned = poisoned;
    }

    /// Returns the text.
    pub(super) fn written(&self) -> String {
        let paragraphs: Vec<String> = self.paragraphs.iter().map(|seed| self.paragraph(*seed)).collect();
        let poison = if self.poisoned { format!(" {POISON}") } else { String::new() };
        paragraphs.join("\n\n") + &poison
    }

    fn paragraph(&self, seed: u64) -> String {
        let mut rng = SeededRng(seed);
        let count = if self.long { 60 + rng.below(90) } else { 6 + rng.below(20) };
        let words: Vec<&str> = (0..count).map(|_| *rng.pick(&WORDS)).collect();
        format!("Note {seed:x} of {}: {}.", self.key, words.join(" "))
    }
}
