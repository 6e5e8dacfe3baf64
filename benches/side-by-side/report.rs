//! What the samples say: tables, pictures, a page.
//!
//! In: samples, and what failed. Out: text. A ratio is the median over rounds of a contestant's sample divided by the first one's of
//! the same round, so that what slowed both cancels out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use benches::page::{self, Bar, median, short};

use crate::Measure;
use crate::contestant::Contestant;
use crate::idle::IDLE;
use crate::load::{LOADS, Load, Unit};

/// What is added to the name of a load, for microseconds of the processor per unit.
pub(crate) const CPU: &str = "_cpu_us";
/// The same, of it in the program itself.
pub(crate) const USER: &str = "_user_us";
/// Units per second.
pub(crate) const RATE: &str = "_per_second";
/// The share that did not come back.
pub(crate) const LOST: &str = "_lost_share";

/// Shares of requests that are answered within the latency that is noted, by name.
pub(crate) const SHARES: &[(&str, f64)] = &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// What fails when a contestant does not even answer.
pub(crate) const START: &str = "start";

/// The name of latencies at a rate.
pub(crate) fn latency(rate: u32) -> String {
    format!("latency_{rate}")
}

/// One number.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) round: usize,
    pub(crate) contestant: String,
    pub(crate) measure: String,
    pub(crate) value: f64,
    /// What else wanted the cores.
    pub(crate) load: f64,
}

/// All numbers of a run, and what gave none.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    all: Vec<Sample>,
    /// By contestant and what it failed at: how often, and why at last.
    failures: BTreeMap<(String, String), (usize, String)>,
}

impl Samples {
    pub(crate) fn push(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    pub(crate) fn fail(&mut self, contestant: &str, at: &str, why: &str) {
        let failure = self.failures.entry((contestant.to_owned(), at.to_owned())).or_default();
        *failure = (failure.0 + 1, why.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    /// One line each.
    pub(crate) fn to_tsv(&self) -> String {
        let mut text = String::from("round\tcontestant\tmeasure\tvalue\tload_average\n");
        for Sample { round, contestant, measure, value, load } in &self.all {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{round}\t{contestant}\t{measure}\t{value:.4}\t{load}");
        }
        text
    }

    /// The load average, from least to greatest.
    pub(crate) fn load(&self) -> (f64, f64) {
        let loads = || self.all.iter().map(|sample| sample.load);
        (page::quantile(loads(), 0.0), page::quantile(loads(), 1.0))
    }

    fn of(&self, contestant: &str, measure: &str) -> BTreeMap<usize, f64> {
        let mine = self.all.iter().filter(|sample| sample.contestant == contestant && sample.measure == measure);
        mine.map(|sample| (sample.round, sample.value)).collect()
    }

    fn values(&self, contestant: &str, measure: &str) -> Vec<f64> {
        self.of(contestant, measure).into_values().collect()
    }

    /// Round by round, divided by another contestant's.
    fn ratios(&self, contestant: &str, to: &str, measure: &str) -> Vec<f64> {
        let base = self.of(to, measure);
        let mine = self.of(contestant, measure);
        mine.iter().filter_map(|(round, value)| Some(value / base.get(round)?)).collect()
    }
}

/// Columns are contestants; for ratios the first of them is 1.
pub(crate) fn tables(contestants: &[Contestant], samples: &Samples, rates: &[u32]) -> String {
    let tables = Tables { contestants, samples };
    let Some(first) = contestants.first() else { return String::new() };
    let ratio = |end: &'static str| {
        move |load: &Load, name: &str| {
            let all = samples.ratios(name, &first.name, &format!("{}{end}", load.name));
            let [least, middle, greatest] = [0.0, 0.5, 1.0].map(|share| page::quantile(all.iter().copied(), share));
            if all.is_empty() { String::new() } else { format!("{middle:.2} ({least:.2}–{greatest:.2})") }
        }
    };
    let mut text = format!("## Processor time per unit, as a ratio to {}: less is better\n\n", first.name);
    text += &tables.of_loads(&|load| format!("a {}", load.unit.name()), &ratio(CPU));
    let _ = write!(text, "\n## Units per second, as a ratio to {}: more is better\n\n", first.name);
    text += &tables.of_loads(&|load| load.unit.plural().into(), &ratio(RATE));
    text += "\n## Processor time per unit; in parentheses what of it the program itself takes, and not the system for it\n\n";
    text += &tables.of_loads(&|load| time_unit(load).0.into(), &|load, name| {
        let value = |end| median(samples.values(name, &format!("{}{end}", load.name))) * time_unit(load).1;
        if value(CPU).is_nan() { String::new() } else { format!("{} ({})", short(value(CPU)), short(value(USER))) }
    });
    text += "\n## Units per second\n\n";
    text += &tables.of_loads(&|load| format!("{}/s", load.unit.plural()), &|load, name| {
        let value = |end| median(samples.values(name, &format!("{}{end}", load.name)));
        let lost = value(LOST);
        let lost = if lost.is_nan() { String::new() } else { format!(", {} % lost", short(lost * 100.0)) };
        if value(RATE).is_nan() { String::new() } else { short(value(RATE)) + &lost }
    });
    text += "\n## Memory of an idle connection after one request, in KiB\n\n";
    text += &tables.table(IDLE.iter().map(|idle| {
        let cell = move |name: &str| short(median(samples.values(name, idle.name)) / 1024.0);
        (idle.name.to_owned(), Measure::Idle, vec![idle.title.to_owned()], cell)
    }));
    for rate in rates {
        let _ = write!(text, "\n## Latency at {rate} requests a second on 50 connections of HTTP/1, in µs\n\n");
        text += &tables.table(SHARES.iter().map(|(share, _)| {
            let measure = format!("{}_{share}_us", latency(*rate));
            let cell = move |name: &str| short(median(samples.values(name, &measure)));
            (latency(*rate), Measure::Latency, vec![(*share).to_owned()], cell)
        }));
    }
    if !samples.failures.is_empty() {
        text += "\n## What failed\n\n";
        for ((name, at), (times, why)) in &samples.failures {
            let why: String = why.chars().take(300).collect();
            let _ = writeln!(text, "- {name} at {at}, in {times} rounds; at last: {}", why.replace('<', "&lt;"));
        }
    }
    text
}

/// Tables of one run.
struct Tables<'a> {
    contestants: &'a [Contestant],
    samples: &'a Samples,
}

impl Tables<'_> {
    /// A row for each load, with its title and a second column.
    fn of_loads(&self, second: &dyn Fn(&Load) -> String, cell: &dyn Fn(&Load, &str) -> String) -> String {
        self.table(LOADS.iter().map(|load| {
            let titles = vec![load.title.to_owned(), second(load)];
            (load.name.to_owned(), load.of, titles, move |name: &str| cell(load, name))
        }))
    }

    /// Rows of what their samples are named by, what they belong to, titles, and what stands in a contestant's cell. A row without any
    /// cell is left out, and a table without rows says so.
    fn table<C: Fn(&str) -> String>(&self, rows: impl Iterator<Item = (String, Measure, Vec<String>, C)>) -> String {
        let mut text = String::new();
        for (name, measure, titles, cell) in rows {
            let cells = self.contestants.iter().map(|contestant| {
                let fails_at = |at: &str| self.samples.failures.contains_key(&(contestant.name.clone(), at.to_owned()));
                match cell(&contestant.name) {
                    _ if contestant.lacks.contains(&measure) => "cannot".into(),
                    text if !text.is_empty() && text != NOTHING => text,
                    _ if fails_at(&name) || fails_at(START) => "failed".into(),
                    _ => NOTHING.to_owned(),
                }
            });
            let cells: Vec<_> = cells.collect();
            if cells.iter().all(|cell| cell == NOTHING || cell == "cannot") {
                continue;
            }
            if text.is_empty() {
                let names: Vec<_> = self.contestants.iter().map(|contestant| contestant.name.as_str()).collect();
                let _ = writeln!(text, "| {}| {} |", " | ".repeat(titles.len() - 1), names.join(" | "));
                let _ = writeln!(text, "|{}", "---|".repeat(titles.len() + names.len()));
            }
            let _ = writeln!(text, "| {} | {} |", titles.join(" | "), cells.join(" | "));
        }
        if text.is_empty() { "Not measured.\n".into() } else { text }
    }
}

/// In what the time of a load is told, and how many of it are a microsecond.
fn time_unit(load: &Load) -> (&'static str, f64) {
    match load.unit {
        Unit::Gibibyte => ("ms/GiB", 1e-3),
        Unit::Request => ("µs/request", 1.0),
        Unit::Connection => ("µs/connection", 1.0),
        Unit::Call => ("µs/call", 1.0),
        Unit::Datagram => ("µs/datagram", 1.0),
    }
}

/// What is drawn.
pub(crate) fn charts(names: &[&str], samples: &Samples, rates: &[u32]) -> Vec<(String, Vec<Bar>)> {
    let Some(first) = names.first() else { return Vec::new() };
    let mut charts = Vec::new();
    for load in LOADS {
        for (end, what) in
            [(CPU, format!("processor time per {}", load.unit.name())), (RATE, format!("{} per second", load.unit.plural()))]
        {
            let bars = names.iter().map(|name| Bar::of(*name, &samples.ratios(name, first, &format!("{}{end}", load.name))));
            charts.push((format!("{}: {what}, ratio to {first}", load.title), bars.collect()));
        }
    }
    for rate in rates {
        for share in ["p50", "p99"] {
            let measure = format!("{}_{share}_us", latency(*rate));
            let bars = names.iter().map(|name| Bar::of(*name, &samples.values(name, &measure)));
            charts.push((format!("Latency at {rate} requests/s, {share}, µs"), bars.collect()));
        }
    }
    for idle in IDLE {
        let kib = |name: &&str| samples.values(name, idle.name).into_iter().map(|bytes| bytes / 1024.0).collect::<Vec<_>>();
        let bars = names.iter().map(|name| Bar::of(*name, &kib(name)));
        charts.push((format!("{}: memory per idle connection, KiB", idle.title), bars.collect()));
    }
    charts.retain(|(_, bars): &(String, Vec<Bar>)| bars.iter().any(|bar| bar.middle.is_finite()));
    charts
}

/// What a page tells.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) tables: &'a str,
    pub(crate) versions: &'a str,
    pub(crate) picture: &'a str,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) idle: usize,
    pub(crate) load: (f64, f64),
    pub(crate) raw: &'a str,
}

/// The page.
pub(crate) fn page(setting: &Setting<'_>) -> String {
    let Setting { tables, versions, picture, rounds, seconds, idle, load: (least, greatest), raw } = setting;
    format!(
        "# Side by side\n\n\
         Written by `cargo run -p benches --bin side-by-side`; every sample stands in [{raw}]({raw}).\n\n\
         **How to read it.** Everybody has one core in turn, and load and backends share the other one. What counts is the processor time\n\
         of who is measured, system included, for each unit of work: it hardly depends on how fast the load is (who has to wait for work\n\
         does less of it at a time, which costs a little more). Units per second do: where the core of the load is the one that is busy,\n\
         they tell of the load, and all contestants look alike. A ratio is the median over rounds, each divided by the first contestant's\n\
         number of the same round; the least and the greatest stand in parentheses, and a difference that is smaller than their distance\n\
         is none.\n\n\
         - Machine: {machine}. Load average during the run: {least:.1} to {greatest:.1}; what goes beyond 2 is others' work.\n\
         - {rounds} rounds, in each of which everybody has its turn, another one first each time; {seconds} s per measurement after 1 s of\n  \
         the same. One worker each (the gateway's runtime sees one core).\n\
         - Same routes, same backends, the same four `X-Forwarded-*` fields, kept-alive connections to the backend, a line in an access\n  \
         log for each request, connection and flow, which HAProxy writes by itself and the others gather; the configurations stand in\n  \
         `benches/side-by-side/config`.\n\
         - HTTP: a small text of nginx. HTTP/1 in clear: wrk, 64 connections; over TLS the same with h2load. HTTP/2: h2load, 8 connections\n  \
         of 16 streams. Answers of 1 MiB: h2load, 8 connections, one answer at a time on each, from a file.\n\
         - TLS: version 1.3, one certificate (ECDSA on P-256), TLS_AES_128_GCM_SHA256, X25519. Everybody sends tickets, as each does of its\n  \
         own; no client resumes a session. A connection for each request: 16 at a time, a full handshake, one small answer, closed by\n  \
         the server. Our client does not check signatures, lest it be slower than the servers.\n\
         - gRPC: h2load, 8 connections of 16 calls, in clear on both sides; a server of ours sends the message back, and its status after it.\n\
         - TCP: bytes from the backend to the client on four connections; a connection of one word there and back, 16 at a time.\n\
         - UDP: 64 bytes there and back over 512 flows, 64 at a time; lost is what did not come back within 100 ms. HAProxy passes no\n  \
         datagrams on.\n\
         - Latency: h2load at a fixed rate, as it logs every request; it does not send on a connection that still waits, which flatters\n  \
         who is slow. Its clients begin at once and keep step, so that requests come fifty at a time, and half of the time is that\n  \
         of the load and the backend, which share a core: compare, do not take it for what one request waits.\n\
         - Idle memory: anonymous memory of {idle} connections that asked once, less that of none, by their number.\n\
         {versions}\n{tables}\n![The same as bars]({picture})\n",
        machine = page::machine(),
    )
}

/// What stands in a cell without a number.
const NOTHING: &str = "–";

#[cfg(test)]
mod tests {
    use super::*;

    fn contestant(name: &str, lacks: &'static [Measure]) -> Contestant {
        let mut contestant = crate::contestant::gateway(&format!("gateway-{name}=/proc/self/exe")).expect("there is a program");
        contestant.lacks = lacks;
        contestant
    }

    #[test]
    fn who_fails_or_cannot_is_named_beside_the_numbers_of_others() {
        let contestants = [contestant("a", &[]), contestant("b", &[]), contestant("c", &[Measure::Udp])];
        let mut samples = Samples::default();
        for (round, value) in [(0, 2.0), (1, 4.0)] {
            for end in [CPU, USER, RATE] {
                let measure = format!("udp{end}");
                samples.push(Sample { round, contestant: "gateway-a".into(), measure, value, load: 0.0 });
            }
        }
        samples.fail("gateway-b", "udp", "nothing\ncame back");
        let text = tables(&contestants, &samples, &[]);
        assert!(text.contains("| UDP, a datagram there and back | a datagram | 1.00 (1.00–1.00) | failed | cannot |"), "{text}");
        assert!(text.contains("| UDP, a datagram there and back | µs/datagram | 3.00 (3.00) | failed | cannot |"), "{text}");
        assert!(text.contains("- gateway-b at udp, in 1 rounds; at last: nothing came back"), "{text}");
        assert!(!text.contains("HTTP/2"), "{text}");
    }
}
