//! `status`: shows how much is embedded, what is pending and what fails.

use pgrecall_store::coverage::{grouped, time_left};
use pgrecall_store::{
    status::{Counts, Status, Verdict},
    workers::EmbedderState,
};
use serde::Serialize;

use super::{
    context::{Context, Worker},
    failure::Failure,
    failures,
    output::{self, bad, good, strong},
    program::named,
};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let status = context.with_engine(Worker::None, async |engine, scope| Ok(engine.status(scope).await?)).await?;
    if context.json {
        return output::json(&WithWorkers { status: &status, workers: &status.workers });
    }
    for line in lines(&status) {
        output::line(&line)?;
    }
    Ok(())
}

/// The status with its workers, which an operator sees and a caller of `index_status` does not.
#[derive(Serialize)]
struct WithWorkers<'a> {
    #[serde(flatten)]
    status: &'a Status,
    workers: &'a [pgrecall_store::workers::Worker],
}

fn lines(status: &Status) -> Vec<String> {
    let model = match (&status.model, status.dimension) {
        (Some(model), Some(dimension)) => format!("{model} ({dimension} dimensions)"),
        (Some(model), None) => model.clone(),
        (None, _) => "none yet".to_owned(),
    };
    let mut lines = vec![verdict(status), format!("model    {model}")];
    if let Some(next) = &status.next_model {
        // The coverage is rounded down here, too.
        let fail = match next.failed {
            0 => String::new(),
            failed => {
                format!(", {failed} fail: while they are more than now, or than one in a hundred, it does not answer")
            }
        };
        lines.push(format!("next     {} ({} % embedded{fail})", next.model, (next.coverage * 1000.0).floor() / 10.0));
    }
    lines.push(String::new());
    lines.push(strong(&format!(
        "{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "embedded", "pending", "running", "failed", "coverage"
    )));
    lines.extend(status.kinds.iter().map(|(kind, counts)| row(kind, counts)));
    lines.push(row("all", &status.all));
    lines.push(String::new());
    match status.workers.as_slice() {
        [] if status.embedder == EmbedderState::Disabled => {
            lines.push("worker   not needed: nothing is embedded".to_owned())
        }
        [] if status.all.pending + status.all.running == 0 => {
            lines.push("worker   none runs now, and nothing waits for one".to_owned())
        }
        [] => lines.push(named("worker   none is alive: start `mcp-server` or `embed-worker`").into_owned()),
        workers => lines.extend(workers.iter().map(|worker| {
            let why = worker.reason.as_ref().map(|why| format!(" ({})", named(why))).unwrap_or_default();
            format!("worker   {}: embedder {}{why}", worker.name, worker.embedder)
        })),
    }
    if let Some(seconds) = status.seconds_left {
        lines.push(format!("done in  {}", time_left(seconds, false)));
    }
    if !status.failing.is_empty() {
        lines.push(String::new());
        lines.extend(status.failing.iter().map(failures::line));
        lines.push(named("`mcp-server failures` lists them all.").into_owned());
    }
    lines
}

/// Describes the state in one line, with the reason if it is not as it should be.
fn verdict(status: &Status) -> String {
    let (waits, failed) = (status.all.pending + status.all.running, status.all.failed);
    let reason = status.reason.as_deref().map(output::shown);
    match status.verdict {
        Verdict::Healthy if status.embedder == EmbedderState::Disabled => {
            good("healthy: recall uses keyword search only, as configured (the provider is noop)")
        }
        Verdict::Healthy if status.is_empty() => good("healthy: nothing is stored yet"),
        Verdict::Healthy => good("healthy: everything is embedded"),
        Verdict::Indexing => {
            let passages = status.all.passages;
            let says = format!("{} of {} passages are embedded", grouped(passages.embedded), grouped(passages.total));
            strong(&format!("indexing: a worker is at work, and {says}"))
        }
        Verdict::WaitingForModel => match reason {
            Some(reason) => bad(&format!("waiting for the model: {reason}")),
            None => bad("waiting for the model: the embedder is away, or its model is not there yet"),
        },
        Verdict::Degraded => {
            let fails = (failed > 0).then(|| format!("{failed} sources failed"));
            let waiting = reason.map(|reason| format!("{waits} sources wait, and {reason}"));
            let parts: Vec<String> = fails.into_iter().chain(waiting).collect();
            bad(&format!("degraded: {}", parts.join("; ")))
        }
    }
}

fn row(name: &str, counts: &Counts) -> String {
    // The coverage is rounded down, because 100 % must mean all.
    let coverage = (counts.coverage * 1000.0).floor() / 10.0;
    format!(
        "{name:<14}{:>10}{:>10}{:>10}{:>10}{:>8} %",
        counts.succeeded, counts.pending, counts.running, counts.failed, coverage
    )
}
