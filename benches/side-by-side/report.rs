//! What the samples say: a table, pictures, a page.
//!
//! In: samples. Out: text. A ratio is the median over rounds of a contestant's sample divided by nginx's of the same round, so that
//! what slowed both cancels out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use benches::page::{self, Bar, median, short};

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

/// All numbers of a run.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    all: Vec<Sample>,
}

impl Samples {
    pub(crate) fn push(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    /// One line each.
    pub(crate) fn to_tsv(&self) -> String {
        let mut text = String::from("round\tcontestant\tmeasure\tvalue\tload_average\n");
        for Sample { round, contestant, measure, value, load } in &self.all {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{round}\t{contestant}\t{measure}\t{value:.2}\t{load}");
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

    /// Round by round, divided by the first contestant's.
    fn ratios(&self, contestant: &str, to: &str, measure: &str) -> Vec<f64> {
        let base = self.of(to, measure);
        let mine = self.of(contestant, measure);
        mine.iter().filter_map(|(round, value)| Some(value / base.get(round)?)).collect()
    }
}

/// Shares of requests that are answered within the latency that is noted, by name.
pub(crate) const SHARES: &[(&str, f64)] = &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// Rows are contestants; for ratios the first of them is 1.
pub(crate) fn table(names: &[&str], samples: &Samples, rates: &[u32]) -> String {
    let Some(first) = names.first() else { return String::new() };
    let mut text = format!(
        "Processor time per request and throughput, as ratios to {first} of the same round (median; least to greatest).\n\n\
         | | h1 CPU/request | of it user | h1 throughput | h2c CPU/request | h2c throughput |\n|---|---|---|---|---|---|\n"
    );
    for name in names {
        let ratio = |measure| {
            let all = samples.ratios(name, first, measure);
            let [least, middle, greatest] = [0.0, 0.5, 1.0].map(|share| page::quantile(all.iter().copied(), share));
            format!("{middle:.2} ({least:.2}–{greatest:.2})")
        };
        let [cpu, user, rps] = ["h1_cpu_us", "h1_user_us", "h1_rps"].map(ratio);
        let [h2_cpu, h2_rps] = ["h2c_cpu_us", "h2c_rps"].map(ratio);
        let _ = writeln!(text, "| {name} | {cpu} | {user} | {rps} | {h2_cpu} | {h2_rps} |");
    }
    text.push_str(
        "\nThe same in absolute numbers (medians), and what one idle connection occupies after one request.\n\n\
         | | h1 CPU/request | of it user | h1 requests/s | h2c CPU/request | h2c requests/s | idle h1 | idle h2c |\n|---|---|---|---|---|---|---|---|\n",
    );
    for name in names {
        let value = |measure| median(samples.values(name, measure));
        let us = |measure| format!("{} µs", short(value(measure)));
        let kib = |measure| format!("{} KiB", short(value(measure) / 1024.0));
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.0} | {} | {:.0} | {} | {} |",
            us("h1_cpu_us"),
            us("h1_user_us"),
            value("h1_rps"),
            us("h2c_cpu_us"),
            value("h2c_rps"),
            kib("h1_idle_bytes"),
            kib("h2c_idle_bytes"),
        );
    }
    for rate in rates {
        let _ = write!(
            text,
            "\nLatency at {rate} requests a second on 50 connections of HTTP/1, in µs (medians over rounds).\n\n| |"
        );
        let heads: String = SHARES.iter().map(|(name, _)| format!(" {name} |")).collect();
        let _ = writeln!(text, "{heads}\n|---|{}", "---|".repeat(SHARES.len()));
        for name in names {
            let _ = write!(text, "| {name} |");
            for (share, _) in SHARES {
                let _ = write!(text, " {:.0} |", median(samples.values(name, &format!("latency_{rate}_{share}_us"))));
            }
            text.push('\n');
        }
    }
    text
}

/// What is drawn.
pub(crate) fn charts(names: &[&str], samples: &Samples, rates: &[u32]) -> Vec<(String, Vec<Bar>)> {
    let Some(first) = names.first() else { return Vec::new() };
    let mut charts = Vec::new();
    for (measure, title) in [
        ("h1_cpu_us", "HTTP/1: processor time per request, ratio to"),
        ("h1_rps", "HTTP/1: throughput, ratio to"),
        ("h2c_cpu_us", "HTTP/2: processor time per request, ratio to"),
        ("h2c_rps", "HTTP/2: throughput, ratio to"),
    ] {
        let bars = names.iter().map(|name| Bar::of(*name, &samples.ratios(name, first, measure)));
        charts.push((format!("{title} {first}"), bars.collect()));
    }
    for rate in rates {
        for share in ["p50", "p99"] {
            let measure = format!("latency_{rate}_{share}_us");
            let bars = names.iter().map(|name| Bar::of(*name, &samples.values(name, &measure)));
            charts.push((format!("Latency at {rate} requests/s, {share}, µs"), bars.collect()));
        }
    }
    for (measure, title) in [("h1_idle_bytes", "HTTP/1"), ("h2c_idle_bytes", "HTTP/2")] {
        let kib = |name: &&str| samples.values(name, measure).into_iter().map(|bytes| bytes / 1024.0).collect::<Vec<_>>();
        let bars = names.iter().map(|name| Bar::of(*name, &kib(name)));
        charts.push((format!("{title}: memory per idle connection, KiB"), bars.collect()));
    }
    charts
}

/// What a page tells.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) table: &'a str,
    pub(crate) versions: &'a [(String, String)],
    pub(crate) picture: &'a str,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) idle: usize,
    pub(crate) load: (f64, f64),
    pub(crate) raw: &'a str,
}

/// The page.
pub(crate) fn page(setting: &Setting<'_>) -> String {
    let Setting { table, versions, picture, rounds, seconds, idle, load: (least, greatest), raw } = setting;
    let mut text = format!(
        "# Side by side\n\n\
         Written by `cargo run -p benches --bin side-by-side`; every sample stands in [{raw}]({raw}).\n\n\
         - Machine: {}. Load average during the run: {least:.1} to {greatest:.1}; what goes beyond 2 is others' work.\n\
         - {rounds} rounds, in each of which everybody has its turn, another one first each time; {seconds} s per measurement after 1 s of\n  \
         the same. Who is measured has one core and one worker (the gateway's runtime sees one core); load and backend have another.\n\
         - Same routes, same backend (nginx, 24 bytes), the same four `X-Forwarded-*` fields, kept-alive connections to the backend, an\n  \
         access log to a file; the configurations stand in `benches/side-by-side/config`.\n\
         - HTTP/1: wrk, 64 connections. HTTP/2 in clear: h2load, 8 connections of 16 streams. Latency: h2load at a fixed rate, as\n  \
         it logs every request; it does not send on a connection that still waits, which flatters who is slow.\n\
         - Idle memory: anonymous memory of {idle} connections that asked once, less that of none, by their number.\n",
        page::machine()
    );
    for (name, version) in *versions {
        let _ = writeln!(text, "- {name}: {version}");
    }
    let _ = write!(text, "\n{table}\n![The same as bars]({picture})\n");
    text
}
