//! Measures of a ranking's quality over a judged collection.
//!
//! A judged collection is a folder in the format of BEIR: `corpus.jsonl`, `queries.jsonl`, and
//! judgments in `qrels.tsv` or `qrels/test.tsv`. The measures are the usual ones: nDCG and recall
//! over all judged questions, where a question without results counts as 0.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use pgrecall_record::lenient;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Paths of the judgments; the first that exists is read.
const JUDGEMENTS: [&str; 2] = ["qrels.tsv", "qrels/test.tsv"];

/// A collection whose questions were judged.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The file of the records.
    pub(crate) corpus: PathBuf,
    /// The judged questions, in the order of their file.
    pub(crate) questions: Vec<Question>,
}

/// A question, and the records that answer it.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) text: String,
    /// A filter of the question, for example one conversation of many.
    pub(crate) filter: Map<String, Value>,
    /// The keys of the records that answer it, each with its gain.
    pub(crate) gains: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id")]
    id: Value,
    text: String,
    filter: Option<Map<String, Value>>,
}

impl Judged {
    /// Reads a folder.
    ///
    /// # Errors
    /// A sentence about the missing or broken file.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let corpus = folder.join("corpus.jsonl");
        if !corpus.is_file() {
            return Err(format!("there is no {}: a judged collection has one record a line in it", corpus.display()));
        }
        let Some(judgements) = JUDGEMENTS.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
            let names = JUDGEMENTS.join(" or ");
            return Err(format!(
                "there is no {names} in {}: it says which records answer a question",
                folder.display()
            ));
        };
        let mut gains = gains(&judgements)?;
        let path = folder.join("queries.jsonl");
        let mut questions = Vec::new();
        for (number, line) in read(&path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: String| format!("{}:{}: {why}", path.display(), number + 1);
            let (line, _): (Line, _) =
                lenient::read(line.as_bytes()).map_err(|error| wrong(format!("it is not a question ({error})")))?;
            let id = match line.id {
                Value::String(id) => id,
                Value::Number(id) => id.to_string(),
                _ => return Err(wrong("`_id` must be a text".to_owned())),
            };
            if let Some(gains) = gains.remove(&id) {
                questions.push(Question { id, text: line.text, filter: line.filter.unwrap_or_default(), gains });
            }
        }
        if questions.is_empty() {
            return Err(format!("none of the questions in {} was judged in {}", path.display(), judgements.display()));
        }
        Ok(Self { corpus, questions })
    }
}

/// Reads the gains of the records that answer each question.
///
/// A line has a question, a record and a gain, separated by tabs or spaces. TREC's lines also have
/// an unused column after the question.
fn gains(path: &Path) -> Result<BTreeMap<String, HashMap<String, u32>>, String> {
    let mut gains: BTreeMap<String, HashMap<String, u32>> = BTreeMap::new();
    for (number, line) in read(path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let columns: Vec<&str> =
            if line.contains('\t') { line.split('\t').collect() } else { line.split(' ').collect() };
        let (question, record, gain) = match columns[..] {
            [question, record, gain] | [question, _, record, gain] => (question, record, gain.trim()),
            _ => return Err(format!("{}:{}: it is not a question, a record and a gain", path.display(), number + 1)),
        };
        match gain.parse::<i64>() {
            Ok(gain) if gain > 0 => {
                let gain = u32::try_from(gain).unwrap_or(u32::MAX);
                gains.entry(question.to_owned()).or_default().insert(record.to_owned(), gain);
            }
            Ok(_) => {}
            // The first line may have the names of the columns.
            Err(_) if number == 0 => {}
            Err(_) => return Err(format!("{}:{}: `{gain}` is not a whole number", path.display(), number + 1)),
        }
    }
    Ok(gains)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read ({error})", path.display()))
}

impl Question {
    /// Computes nDCG at `k`.
    ///
    /// Each result adds its gain divided by log2(rank + 1); the sum is divided by the best possible
    /// sum.
    pub(crate) fn ndcg(&self, ranked: &[String], k: usize) -> f64 {
        let gained = discounted(ranked.iter().take(k).map(|key| self.gains.get(key).copied().unwrap_or(0)));
        let mut best: Vec<u32> = self.gains.values().copied().collect();
        best.sort_unstable_by(|one, other| other.cmp(one));
        gained / discounted(best.into_iter().take(k))
    }

    /// Computes the share of the relevant records that are among the first `k` results.
    pub(crate) fn recall(&self, ranked: &[String], k: usize) -> f64 {
        let found: HashSet<&String> = ranked.iter().take(k).filter(|key| self.gains.contains_key(*key)).collect();
        found.len() as f64 / self.gains.len() as f64
    }
}

fn discounted(gains: impl Iterator<Item = u32>) -> f64 {
    gains.enumerate().map(|(rank, gain)| f64::from(gain) / (rank as f64 + 2.0).log2()).sum()
}

/// Computes the mean; 0 if there are no values.
pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// Returns the value that this share of all values does not exceed.
pub(crate) fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn figures_are_those_that_everybody_computes() {
        let gains = HashMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let question = Question { id: "q".into(), text: "?".into(), filter: Map::new(), gains };
        let ranked = ["x", "b", "a"].map(str::to_owned);
        let best = 2.0 + 1.0 / 3_f64.log2();
        assert!(close(question.ndcg(&ranked, 10), (1.0 / 3_f64.log2() + 2.0 / 2.0) / best));
        assert!(close(question.ndcg(&ranked, 1), 0.0) && close(question.recall(&ranked, 2), 0.5));
        assert!(close(question.ndcg(&[], 10), 0.0) && close(mean([].into_iter()), 0.0));
        assert!(close(percentile(vec![3.0, 1.0, 2.0, 4.0], 0.5), 2.0) && close(percentile(vec![1.0], 0.95), 1.0));
    }

    #[test]
    fn a_folder_is_read_with_either_kind_of_judgements_or_says_what_is_missing() {
        let folder = std::env::temp_dir().join(format!("pgrecall-judged-{}", std::process::id()));
        fs::create_dir_all(folder.join("qrels")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        assert!(Judged::read(&folder).unwrap_err().contains("corpus.jsonl"));
        write("corpus.jsonl", "");
        assert!(Judged::read(&folder).unwrap_err().contains("qrels.tsv"));
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n3\ta\t1\n");
        write(
            "queries.jsonl",
            "{\"_id\": 1, \"text\": \"one\"}\n{\"_id\": \"2\", \"text\": \"two\", \"filter\": null}\n",
        );
        let judged = Judged::read(&folder).unwrap();
        assert_eq!((judged.questions.len(), &judged.questions[0].gains), (1, &HashMap::from([("a".to_owned(), 2)])));
        write("qrels.tsv", "2 0 a 1\n");
        assert_eq!(Judged::read(&folder).unwrap().questions[0].id, "2");
        write("qrels.tsv", "2\ta\t1\n2\ta\tmuch\n");
        assert!(Judged::read(&folder).unwrap_err().contains("qrels.tsv:2: `much`"));
        fs::remove_dir_all(folder).unwrap();
    }
}
